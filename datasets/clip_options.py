"""Cutting of videos into clips: which frames of a video, which part of them, and how they look."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sts_common import check_choice, counted
from sts_common.typed import check_fields

from .clips.augment import AUGMENTS, Augment
from .clips.crops import TEST_CROPS, TestCrops
from .clips.random_crops import CROPS
from .clips.sampling import SAMPLERS, TAILS, TEST_SAMPLERS, Sampler, TestSampler
from .clips.sampling_compat import COMPAT_SAMPLERS, COMPAT_TEST_SAMPLERS
from .clips.views import Geometry
from .corpora import SIDED
from .loading.online_flow import OnlineFlow, OnlineReader, PairReader
from .stores.cache import DecodedCache
from .streams import FLOW, ClipView, Stream, sources_of, views_of
from .subset import Videos
from .video import ClipDataset, ClipReader, VideoDataset

log = logging.getLogger(__name__)

RULES = ("corrected", "compat")
FLIPS = ("auto", "always", "never")
MODES = ("train", "val", "test")
DETERMINISTIC = ("center", "segment_centers")  # samplers of training that draw nothing
RANDOM_TEST = "random_segments"  # the sampler of a test that draws
BY_SEGMENTS = ("segments", "segment_centers", RANDOM_TEST)  # samplers, of training and test, that know `segment_length`

# Of a recipe in a checkpoint -> of `ClipOptions`, whatever cuts the clips; `open_videos` has the rate of video files.
RECIPE = {
    "sample_size": "size",
    "sample_duration": "length",
    "clip_stride": "stride",
    "segment_length": "segment_length",
    "sampling": "sampling",
    "short_side": "short_side",
}


@dataclass(frozen=True, kw_only=True)
class ClipOptions:
    """How clips are cut from videos. One serves training, validation and test: each reads what concerns it.

    Attributes:
        streams: Streams to read, or views of them, like "rgb@224"; None: all that the videos were opened with.
        length: Frames per clip, >= 1.
        size: Side of the clip, in pixels, >= 1.
        stride: Steps from one frame of a clip to the next, >= 1; segments of a single frame know none.
        segment_length: Frames of each segment of a clip that is sampled by segments, a divisor of `length`.
        sampling: "corrected", or "compat", by the rules of the publications with their slips.
        train_sampling: Frames of a training clip, a key of `SAMPLERS`.
        val_sampling: Frames of a validation clip, a key of `SAMPLERS`.
        test_sampling: Clips of a test video, a key of `TEST_SAMPLERS`.
        num_clips: Clips per test video, >= 1, unless all are taken.
        tail: Last frames of a test video, one of `TAILS`.
        num_crops: Crops per test clip, a key of `TEST_CROPS`.
        short_side: Short side that frames of validation and test are resized to, in pixels; None: `size`.
        crop: Crop of a training clip, a key of `CROPS`.
        crop_scales: Of the crop: sides over the short side, or the ends of a range; None: those of its publication.
        flip: "always" mirrors half of the training clips, "never" none; "auto" is "never" where labels have a side.
        augment: Further augmentation of training clips, in order: keys of `AUGMENTS`, or objects.
        seed: Of the draws and of the order of the videos, in [0, 2**31).

    Raises:
        ValueError: If a value is outside its limits.
    """

    streams: Sequence[Stream | ClipView | str] | None = None
    length: int = 16
    size: int = 112
    stride: int = 1
    segment_length: int = 1
    sampling: str = "corrected"
    train_sampling: str = "random"
    val_sampling: str = "center"
    test_sampling: str = "all"
    num_clips: int = 10
    tail: str = "overlap"
    num_crops: str | int = 1
    short_side: int | None = None
    crop: str = "corners"
    crop_scales: Sequence[float] | None = None
    flip: str = "auto"
    augment: Sequence[str | Augment] = ()
    seed: int = 1

    def __post_init__(self) -> None:
        check_fields(self)
        numbers = {"sample_size": self.size, "sample_duration": self.length, "clip_stride": self.stride}
        numbers |= {"num_clips": self.num_clips, "short_side": 1 if self.short_side is None else self.short_side}
        for option, number in numbers.items():
            if number < 1:
                raise ValueError(f"--{option} must be >= 1, got {number}")
        if not 0 <= self.seed < 2**31:
            raise ValueError(f"--manual_seed must be in [0, 2**31), got {self.seed}")
        check_multiple(self.length, self.segment_length)
        check_choice("--sampling", self.sampling, RULES)
        check_choice("--train_sampling", self.train_sampling, SAMPLERS)
        check_choice("--val_sampling", self.val_sampling, SAMPLERS)
        check_choice("--test_sampling", self.test_sampling, TEST_SAMPLERS)
        check_choice("--tail", self.tail, TAILS)
        check_choice("--num_crops", str(self.num_crops), TEST_CROPS)
        check_choice("--crop", self.crop, CROPS)
        check_choice("--flip", self.flip, FLIPS)
        for name in self.augment:
            if isinstance(name, str):
                check_choice("--augment", name, AUGMENTS)

    @classmethod
    def from_recipe(cls, recipe: Mapping[str, Any], **options: Any) -> "ClipOptions":
        """Return the options by which the clips of a checkpoint were cut, and by which its test cuts them.

        Args:
            recipe: Of the checkpoint, see `make_recipe`; {} has the defaults, which are right for published ones.
            options: Of this class, instead of the recipe's.
        """
        settings = {**recipe, **recipe.get("test", {})}
        names = RECIPE | {name: name for name in ("train_sampling", "test_sampling")}
        return cls(**{name: settings[option] for option, name in names.items() if option in settings} | options)


def check_multiple(length: int, segment_length: int) -> None:
    """Refuse clips that are not whole segments; raises ValueError."""
    if length % segment_length:
        raise ValueError(f"--sample_duration {length} must be a multiple of --segment_length {segment_length}")


def check_stride(option: str, sampling: str, stride: int, segment_length: int = 1) -> None:
    """Refuse a stride where single frames are chosen by segments; raises ValueError."""
    if stride > 1 and segment_length == 1 and sampling in BY_SEGMENTS:
        raise ValueError(f"--{option} {sampling} spans the video: leave out --clip_stride")


def make_dataset(
    videos: Videos, clips: ClipOptions | None = None, *, mode: str | None = None, flow: OnlineFlow | None = None
) -> VideoDataset | ClipDataset:
    """Cut videos into clips.

    Args:
        videos: What is cut, see `open_videos`.
        clips: How; None has the defaults.
        mode: "train" or "val", one clip of each video, or "test", every clip that a test scores; None: what the videos
            are the subset of.
        flow: Computes the flow stream in place of its files.

    Raises:
        ValueError: If there is no such mode, a stream is none of the videos', segments are to have a stride, crops of a
            test do not fit, flow is to be computed and is not, or the decoded frames do not fit into a cache.
    """
    clips, mode = clips or ClipOptions(), mode or videos.subset
    check_choice("mode", mode, MODES)
    views = views_of(videos.streams if clips.streams is None else clips.streams)
    for view in views:
        check_choice("stream", view.stream.name, [known.name for known in videos.streams])
    if isinstance(videos.store, DecodedCache):
        videos.store.prepare(videos, sources_of(views))
    log.info("%s %s: %s", videos.dataset, videos.subset, counted(len(videos), "video"))
    read = partial(make_reader, videos, views, flow)
    if mode == "test":
        crops = TEST_CROPS[str(clips.num_crops)](clips.size, short_side=clips.short_side)
        return ClipDataset(videos, read(crops), crops, sample=choose_test_sampler(clips), length=clips.length)
    if mode == "val":
        reader, name = read(TestCrops(clips.size, 1, clips.short_side)), clips.val_sampling
    else:
        augments = [AUGMENTS[augment]() if isinstance(augment, str) else augment for augment in clips.augment]
        flip = 0.5 if mirrors(clips, videos.dataset) else 0.0
        reader, name = read(CROPS[clips.crop](clips.size, clips.crop_scales, flip), augments), clips.train_sampling
    check_stride(f"{mode}_sampling", name, clips.stride, clips.segment_length)
    sample = choose_sampler(name, clips)
    return VideoDataset(videos, reader, sample=sample, length=clips.length, seed=clips.seed)


def make_reader(
    videos: Videos,
    views: Sequence[ClipView],
    flow: OnlineFlow | None,
    geometry: Geometry,
    augments: Sequence[Augment] = (),
) -> ClipReader:
    """Make the reader of clips: from files, or with flow that is computed; raises ValueError if a script cannot."""
    if FLOW not in sources_of(views) or videos.flow_source == "files":
        return ClipReader(views, videos.store, geometry, augments)
    if flow is None:
        raise ValueError("--flow_source online is for STS_train.py; here flow is read from files: leave it out")
    if flow.device:
        return PairReader(views, videos.store, geometry, augments)
    return OnlineReader(views, videos.store, flow, geometry, augments)


def mirrors(clips: ClipOptions, dataset: str) -> bool:
    """Whether half of the training clips are mirrored; with "auto" not where labels say "left" and "right"."""
    return clips.flip == "always" or (clips.flip == "auto" and dataset not in SIDED)


def drawn_by(clips: ClipOptions, dataset: str) -> list[str]:
    """Return the options by which training clips are drawn at random; none where every epoch shows the same clips."""
    drawn = {
        f"--train_sampling {clips.train_sampling}": clips.train_sampling not in DETERMINISTIC,
        f"--crop {clips.crop}": clips.crop != "center",
        f"--flip {clips.flip}": mirrors(clips, dataset),
        "--augment": bool(clips.augment),
    }
    return [option for option, is_drawn in drawn.items() if is_drawn]


def choose_sampler(name: str, clips: ClipOptions) -> Sampler:
    """Return the sampler of one clip of a video."""
    samplers = COMPAT_SAMPLERS if clips.sampling == "compat" else SAMPLERS
    return partial(samplers[name], stride=clips.stride, **segment_arguments(name, clips))


def choose_test_sampler(clips: ClipOptions) -> TestSampler:
    """Return the sampler of every clip of a video."""
    samplers = COMPAT_TEST_SAMPLERS if clips.sampling == "compat" else TEST_SAMPLERS
    sample = samplers[clips.test_sampling]
    arguments = segment_arguments(clips.test_sampling, clips)
    if sample is TEST_SAMPLERS["all"]:
        arguments["tail"] = clips.tail
    if clips.test_sampling == RANDOM_TEST:
        arguments["seed"] = clips.seed
    return partial(sample, stride=clips.stride, num_clips=clips.num_clips, **arguments)


def segment_arguments(name: str, clips: ClipOptions) -> dict[str, Any]:
    """Return the argument that samplers by segments alone have."""
    return {"segment_length": clips.segment_length} if name in BY_SEGMENTS else {}
