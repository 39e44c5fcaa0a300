"""Adapters from the options to the functions of this package, which take values."""

from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from .annotation import Annotation
from .clip_options import ClipOptions, make_dataset
from .clips.augment import AUGMENTS, Augment
from .loaders import load_clips
from .loading.loader import ClipLoader
from .loading.online_flow import OnlineFlow
from .opening import open_videos
from .records.clip_recipe import check_classes, check_flow, images_made, provenance, report_other_clips, state_recipe
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
        segment_length=opt.segment_length,
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


def build_recipe(
    opt: Namespace, loader: ClipLoader, names: Sequence[str], flow: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Describe how the clips of a loader were made, as `make_recipe`; `names` are options that a test's clips share."""
    assert isinstance(loader.dataset, VideoDataset)
    settings = {name: getattr(opt, name) for name in (*names, "crop")}
    images = images_made(loader.dataset.reader.store, opt.flow_source)
    return state_recipe(settings, opt.train_sampling, images, flow)


def check_data(
    opt: Namespace, checkpoint: Mapping[str, Any], source: str, stream: Stream, class_names: Sequence[str] | None
) -> None:
    """Refuse data that a checkpoint's network would misread, as `check_videos`.

    A published checkpoint, which knows nothing, fits. `class_names` are None where the classifier is about to be
    replaced.
    """
    recipe = checkpoint.get("recipe", {})
    if class_names is not None:
        check_classes(checkpoint.get("class_names"), class_names, source, opt.annotation_path)
    report_other_clips(recipe, {name: getattr(opt, name) for name in recipe.keys() & vars(opt).keys()}, source)
    stores_none = opt.layout == "video" and opt.flow_source == "files"  # which the list of videos refuses
    if stream.is_flow and not stores_none:
        root, online = Path(opt.frame_dir), opt.flow_source
        images = provenance(root, layout=opt.layout, video_fps=opt.video_fps, flow_source=online)
        check_flow(images, {} if opt.allow_flow_mismatch else recipe, source, opt.frame_dir, online)
