"""Adapters from the options to the functions of this package, which take values."""

from argparse import Namespace
from collections.abc import Sequence

import torch

from .annotation import Annotation
from .clips.augment import AUGMENTS, Augment
from .cutting import ClipOptions, make_dataset
from .loaders import load_clips
from .loading.loader import ClipLoader
from .loading.online_flow import OnlineFlow
from .opening import open_videos
from .streams import MODALITIES, ClipView, Stream, views_of
from .video import ClipDataset, VideoDataset


def build_annotation(opt: Namespace) -> Annotation:
    """Open the annotation that the options name; a script does so once, and hands it on."""
    return Annotation(opt.annotation_path, dataset=opt.dataset, split=opt.split, val_fraction=opt.val_fraction)


def build_clips(opt: Namespace, views: Sequence[ClipView]) -> ClipOptions:
    """Return how the options cut clips of some views."""
    strengths = {
        "color_jitter": opt.color_jitter,
        "grayscale": [opt.grayscale],
        "randaugment": opt.randaugment,
        "erasing": [opt.erasing],
    }
    augments: list[Augment] = [AUGMENTS[name](*strengths[name]) for name in opt.augment]
    return ClipOptions(
        streams=views,
        length=opt.sample_duration,
        size=opt.sample_size,
        stride=opt.clip_stride,
        sampling=opt.sampling,
        train_sampling=opt.train_sampling,
        val_sampling=opt.val_sampling,
        test_sampling=opt.test_sampling,
        num_clips=opt.num_clips,
        tail=opt.tail,
        num_crops=opt.num_crops,
        short_side=opt.short_side,
        crop=opt.crop,
        crop_scales=opt.crop_scales,
        flip=opt.flip,
        augment=augments,
        seed=opt.manual_seed,
    )


def build_dataset(
    opt: Namespace,
    subset: str,
    streams: Sequence[Stream | ClipView | str] | None = None,
    flow: OnlineFlow | None = None,
    annotation: Annotation | None = None,
    beside: Sequence[ClipView] = (),
) -> VideoDataset | ClipDataset:
    """Build the "train", "val" or "test" subset that `opt` describes; `--test_subset` says what is tested.

    `streams` are read, or views of them like "rgb@224", by default those of `--modality`. Which frames count is decided
    by them, those of `--modality` and views that are `beside` them in other subsets of the run, see `open_videos`.
    `flow` computes the flow stream in place of its files; an `annotation` that is there already is not read again.

    Raises:
        FileNotFoundError: If a folder, list or video is missing.
        ValueError: If the subset is empty or a video damaged.
    """
    views = views_of(streams or MODALITIES[opt.modality])
    videos = open_videos(
        annotation or build_annotation(opt),
        opt.frame_dir,
        subset=opt.test_subset if subset == "test" else subset,
        streams=[*MODALITIES[opt.modality], *(view.stream for view in (*views, *beside))],
        only_rgb=opt.only_RGB,
        flow_source=opt.flow_source,
        layout=opt.layout,
        missing=opt.missing,
        scored=subset == "test",
        decode=opt.decode,
        decoder=opt.decoder,
        video_fps=opt.video_fps,
        cache=opt.cache,
        seed=opt.manual_seed,
    )
    return make_dataset(videos, build_clips(opt, views), mode=subset, flow=flow)


def build_loader(
    opt: Namespace,
    subset: str,
    streams: Sequence[Stream | ClipView | str] | None = None,
    flow: OnlineFlow | None = None,
    annotation: Annotation | None = None,
    beside: Sequence[ClipView] = (),
) -> ClipLoader:
    """Wrap `build_dataset` in batches: of `--batch_size` videos, in testing of `--clips_per_batch` clips."""
    return load_clips(
        build_dataset(opt, subset, streams, flow, annotation, beside),
        batch_size=opt.clips_per_batch if subset == "test" else opt.batch_size,
        train=subset == "train",
        n_workers=opt.n_workers,
        loader=opt.loader,
        pin_memory=opt.device != "cpu" and torch.cuda.is_available(),
        seed=opt.manual_seed,
        max_bad=opt.max_bad,
        decoder=opt.decoder,
        flow=flow,
    )
