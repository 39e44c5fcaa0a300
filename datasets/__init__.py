"""Video datasets, read as {"rgb": ..., "flow": ..., "label": ...} samples of uint8 clips.

A new dataset is one file with a `list_videos` plus one line in `DATASETS`.

Not the Hugging Face package of the same name: scripts put this folder first on the path, and installed it is
`sts_net.datasets` (README, "Import names").
"""

import logging
from argparse import Namespace
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from . import hmdb51, kinetics, ucf101
from . import transforms as T
from .decode import read_video
from .holdout import hold_out
from .layouts import LAYOUTS
from .loader import ClipLoader
from .online import FLOW_SOURCES, OnlineFlow, OnlineLoader, OnlineReader, PairReader
from .recipe import CLIP_OPTIONS, build_recipe, check_data
from .sampling import SAMPLERS, TAILS, clip_starts, loop
from .streams import FLOW, MODALITIES, RGB, Stream
from .transforms import SCALES
from .video import MISSING, ClipDataset, ClipReader, Entry, Listing, ListVideos, Video, VideoDataset, find_videos

log = logging.getLogger(__name__)

DATASETS: dict[str, ListVideos] = {
    "HMDB51": hmdb51.list_videos,
    "UCF101": ucf101.list_videos,
    "Kinetics": kinetics.list_videos,
    "Mini_Kinetics": kinetics.list_videos,
}

__all__ = [
    "CLIP_OPTIONS",
    "DATASETS",
    "FLOW",
    "FLOW_SOURCES",
    "LAYOUTS",
    "MISSING",
    "MODALITIES",
    "RGB",
    "SAMPLERS",
    "SCALES",
    "TAILS",
    "ClipDataset",
    "ClipLoader",
    "OnlineFlow",
    "Stream",
    "Video",
    "VideoDataset",
    "build_dataset",
    "build_loader",
    "build_recipe",
    "check_data",
    "class_names",
    "clip_starts",
    "eval_transform",
    "loop",
    "read_video",
]


def list_official(opt: Namespace, subset: str) -> Listing:
    """Entries of the annotation's own "train" or "test" list."""
    path = Path(opt.annotation_path)
    if not path.is_dir():
        raise FileNotFoundError(f"{path}: no such folder; --annotation_path must hold the label files")
    return DATASETS[opt.dataset](path, opt.split, subset)


def list_subset(opt: Namespace, subset: str) -> Sequence[Entry]:
    """Entries of "train", "val" or "test", as the annotation and `--val_fraction` say.

    Without a held-out fraction "val" is the test list: then the schedule and the choice of a model look at the
    videos that the result is reported on. The original did so, and it is said aloud.
    """
    if subset == "test":
        return list_official(opt, "test").entries
    if opt.val_fraction == 0:
        if subset == "val":
            log.warning("--val_fraction 0: the schedule and the best model are chosen on the test list")
        return list_official(opt, "test" if subset == "val" else "train").entries
    train, val = hold_out(list_official(opt, "train").entries, opt.val_fraction)
    if subset == "val" and not val:
        log.warning("too few videos to hold any out: validating on the training videos")
        return train
    return val if subset == "val" else train


def class_names(opt: Namespace, subset: str) -> list[str]:
    """Class names by label index, as known from the "train" or "test" list."""
    return list_official(opt, subset).class_names


def build_dataset(
    opt: Namespace, subset: str, streams: Sequence[Stream] | None = None, flow: OnlineFlow | None = None
) -> VideoDataset | ClipDataset:
    """Build the "train", "val" or "test" subset that `opt` describes.

    `streams` are read, by default those of `--modality`; `flow` computes the flow stream in place of its files. Which
    frames count depends on the modality alone, so that a stream is cut into the same clips with and without the other.

    Raises:
        FileNotFoundError: If a folder, list or video is missing.
        ValueError: If the subset is empty or a video damaged.
    """
    streams, layout = streams or MODALITIES[opt.modality], LAYOUTS[opt.layout]
    entries = list_subset(opt, subset)
    if not entries:
        raise ValueError(f"{opt.annotation_path}: lists no {subset} videos of {opt.dataset} split {opt.split}")
    needs = {stream.name for stream in MODALITIES[opt.modality]} | (set() if opt.only_RGB else {FLOW.name})
    on_disk = needs - ({FLOW.name} if opt.flow_source == "online" else set())
    spare = len(needs - on_disk)  # computed flow leads from the last usable frame to one more
    videos = find_videos(entries, Path(opt.frame_dir), layout, needs=on_disk, missing=opt.missing, spare=spare)
    log.info("%s %s: %d videos", opt.dataset, subset, len(videos))
    if subset == "test":
        reader = build_reader(opt, streams, eval_transform(opt.sample_size), flow)
        return ClipDataset(videos, reader, length=opt.sample_duration, tail=opt.tail)
    transform = train_transform(opt) if subset == "train" else eval_transform(opt.sample_size)
    sample = SAMPLERS["random" if subset == "train" else opt.val_sampling]
    reader = build_reader(opt, streams, transform, flow)
    return VideoDataset(videos, reader, sample=sample, length=opt.sample_duration, seed=opt.manual_seed)


def build_reader(
    opt: Namespace, streams: Sequence[Stream], transform: T.Transform, flow: OnlineFlow | None
) -> ClipReader:
    """Reads clips from files, or computes their flow.

    Raises:
        ValueError: If flow is to be computed by a script that cannot.
    """
    layout = LAYOUTS[opt.layout]
    if FLOW not in streams or opt.flow_source == "files":
        return ClipReader(streams, layout, transform)
    if flow is None:
        raise ValueError("--flow_source online is for STS_train.py; here flow is read from files: leave it out")
    return PairReader(streams, layout, transform) if flow.device else OnlineReader(streams, layout, transform, flow)


def train_transform(opt: Namespace) -> T.Transform:
    """Random scale, position and mirroring."""
    flip = [] if opt.no_flip else [T.RandomHorizontalFlip()]
    return T.Compose(T.MultiScaleCornerCrop(opt.sample_size, opt.crop_scales), *flip, T.to_model)


def eval_transform(size: int) -> T.Transform:
    """Central square of side `size`."""
    return T.Compose(T.CenterCrop(size), T.to_model)


def build_loader(
    opt: Namespace, subset: str, streams: Sequence[Stream] | None = None, flow: OnlineFlow | None = None
) -> ClipLoader:
    """Wrap `build_dataset` in batches: of `--batch_size` videos, in testing of `--clips_per_batch` clips."""
    batches = partial(OnlineLoader, flow=flow) if flow and flow.device else ClipLoader
    return batches(
        build_dataset(opt, subset, streams, flow),
        batch_size=opt.clips_per_batch if subset == "test" else opt.batch_size,
        train=subset == "train",
        n_workers=opt.n_workers,
        pin_memory=opt.device != "cpu" and torch.cuda.is_available(),
        seed=opt.manual_seed,
    )
