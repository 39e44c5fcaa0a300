"""Construction of datasets and loaders from the options."""

import logging
from argparse import Namespace
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
import torch.distributed as dist

from sts_common import counted

from .clips.augment import Augment, build_augments
from .clips.crops import TEST_CROPS, CenterCrop
from .clips.random_crops import CROPS
from .clips.sampling import SAMPLERS, TEST_SAMPLERS, Sampler, TestSampler
from .clips.sampling_compat import COMPAT_SAMPLERS, COMPAT_TEST_SAMPLERS
from .clips.windows import Geometry
from .corpora import SIDED, list_dataset
from .lists.entries import Entry, Listing
from .lists.holdout import hold_out
from .loading.loader import ClipLoader
from .loading.online_flow import OnlineFlow, OnlineLoader, OnlineReader, PairReader
from .records.lookup import find_videos, without_quarantined
from .records.manifest import Manifest, read_manifest
from .records.quarantine import read_quarantine
from .stores.cache import DecodedCache
from .stores.detect import ReadOptions, open_store
from .stores.store import Store, Video
from .streams import FLOW, MODALITIES, ClipView, Stream, sources_of, views_of
from .video import ClipDataset, ClipReader, VideoDataset

log = logging.getLogger(__name__)


def list_official(opt: Namespace, subset: str) -> Listing:
    """List the entries of the annotation's "train" or "test" list."""
    path = Path(opt.annotation_path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such folder; --annotation_path must hold the label files")
    return list_dataset(opt.dataset, path, opt.split, subset)


def list_subset(opt: Namespace, subset: str) -> Sequence[Entry]:
    """List the entries of "train", "val" or "test", as the annotation and `--val_fraction` say.

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


def list_tested(opt: Namespace) -> Listing:
    """List what a test scores: the test list, or with `--test_subset val` the held-out training videos.

    Raises:
        ValueError: If none can be held out.
    """
    if opt.test_subset == "test":
        return list_official(opt, "test")
    listing = list_official(opt, "train")
    _, held_out = hold_out(listing.entries, opt.val_fraction)
    if not held_out:
        raise ValueError(f"{opt.annotation_path}: --test_subset val: too few training videos to hold any out")
    return listing._replace(entries=held_out)


def num_listed(opt: Namespace, subset: str) -> int:
    """Count the entries of a subset, also those whose video cannot be used."""
    return len(list_subset(opt, subset))


def class_names(opt: Namespace, subset: str) -> list[str]:
    """Return the class names by label index, as known from the "train" or "test" list."""
    return list_official(opt, subset).class_names


def build_dataset(
    opt: Namespace,
    subset: str,
    streams: Sequence[Stream | ClipView | str] | None = None,
    flow: OnlineFlow | None = None,
) -> VideoDataset | ClipDataset:
    """Build the "train", "val" or "test" subset that `opt` describes; `--test_subset` says what is tested.

    `streams` are read, or views of them like "rgb@224", by default those of `--modality`; `flow` computes the flow
    stream in place of its files. Which frames count does not depend on the streams, so that each is cut into the same
    clips with and without the others: those that have a flow, or, with `--only_RGB` and for video files, which both are
    without flow, all, but for the last one where differences are read.

    Raises:
        FileNotFoundError: If a folder, list or video is missing.
        ValueError: If the subset is empty or a video damaged.
    """
    views = views_of(streams or MODALITIES[opt.modality])
    entries = list_tested(opt).entries if subset == "test" else list_subset(opt, subset)
    if not entries:
        raise ValueError(f"{opt.annotation_path}: lists no {subset} videos of {opt.dataset} split {opt.split}")
    manifest = read_manifest(Path(opt.frame_dir))
    store = build_store(opt, entries, manifest, opt.decode if subset == "train" else "exact")
    strict = subset == "test" or (subset == "val" and opt.val_fraction == 0)
    entries = without_quarantined(entries, read_quarantine(Path(opt.frame_dir)), strict=strict, missing=opt.missing)
    videos = find_listed(opt, entries, store, manifest, views)
    if isinstance(store, DecodedCache):
        store.prepare(videos, sources_of(views))
    log.info("%s %s: %s", opt.dataset, subset, counted(len(videos), "video"))
    if subset == "test":
        crops = TEST_CROPS[opt.num_crops](opt.sample_size, short_side=opt.short_side)
        reader = build_reader(opt, views, store, crops, (), flow)
        return ClipDataset(videos, reader, crops, sample=build_test_sampler(opt), length=opt.sample_duration)
    training = subset == "train"
    reader = build_reader(
        opt,
        views,
        store,
        train_geometry(opt) if training else CenterCrop(opt.sample_size, opt.short_side),
        build_augments(opt) if training else (),
        flow,
    )
    sample = build_sampler(opt, opt.train_sampling if training else opt.val_sampling)
    return VideoDataset(videos, reader, sample=sample, length=opt.sample_duration, seed=opt.manual_seed)


def build_store(opt: Namespace, entries: Sequence[Entry], manifest: Manifest | None, decode: str) -> Store:
    """Open the store of the frames that `--layout`, an audit or the root names; `--cache` keeps decoded ones."""
    root = Path(opt.frame_dir)
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder; --frame_dir must hold the extracted frames or the videos")
    options = ReadOptions(decode, opt.decoder, opt.video_fps or None)
    layout = manifest.layout if manifest and opt.layout == "auto" else opt.layout
    store = open_store(layout, root, entries, options)
    return store if opt.cache == "none" else DecodedCache(store, opt.cache, decoder=opt.decoder)


def find_listed(
    opt: Namespace,
    entries: Sequence[Entry],
    store: Store,
    manifest: Manifest | None,
    views: Sequence[ClipView] = (),
) -> list[Video]:
    """Find the videos that can be used, by the manifest of an audit where there is one."""
    streams = {*MODALITIES[opt.modality], *(view.stream for view in views)}
    needs = {stream.source for stream in streams}
    if not opt.only_RGB:
        needs |= {FLOW.name} & store.streams
    on_disk = needs - ({FLOW.name} if opt.flow_source == "online" else set())
    pairs = any(stream.of_pair for stream in streams) and not (FLOW.name in on_disk and store.flow_lag)
    if manifest:
        manifest.check(store, seed=opt.manual_seed)
        log.info("%s: %s as audited on %s", store.root, counted(len(manifest.rows), "video"), manifest.made)
    return find_videos(
        entries,
        store,
        needs=on_disk,
        missing=opt.missing,
        spare=int(pairs or needs != on_disk),  # what is made of pairs, as computed flow, takes one frame more
        located=manifest.located if manifest else None,
    )


def build_reader(
    opt: Namespace,
    views: Sequence[ClipView],
    store: Store,
    geometry: Geometry,
    augments: Sequence[Augment],
    flow: OnlineFlow | None,
) -> ClipReader:
    """Build the reader of clips: from files, or with flow that is computed.

    Raises:
        ValueError: If flow is to be computed by a script that cannot.
    """
    if FLOW not in sources_of(views) or opt.flow_source == "files":
        return ClipReader(views, store, geometry, augments)
    if flow is None:
        raise ValueError("--flow_source online is for STS_train.py; here flow is read from files: leave it out")
    if flow.device:
        return PairReader(views, store, geometry, augments)
    return OnlineReader(views, store, flow, geometry, augments)


def train_geometry(opt: Namespace) -> Geometry:
    """Build the geometry of training clips, which are not mirrored where labels say "left" and "right"."""
    still = opt.flip == "never" or (opt.flip == "auto" and opt.dataset in SIDED)
    return CROPS[opt.crop](opt.sample_size, opt.crop_scales, 0.0 if still else 0.5)


def build_sampler(opt: Namespace, name: str) -> Sampler:
    """Build the sampler of one clip of a video."""
    samplers = COMPAT_SAMPLERS if opt.sampling == "compat" else SAMPLERS
    return partial(samplers[name], stride=opt.clip_stride)


def build_test_sampler(opt: Namespace) -> TestSampler:
    """Build the sampler of every clip of a video."""
    samplers = COMPAT_TEST_SAMPLERS if opt.sampling == "compat" else TEST_SAMPLERS
    options = {"tail": opt.tail} if samplers[opt.test_sampling] is TEST_SAMPLERS["all"] else {}
    return partial(samplers[opt.test_sampling], stride=opt.clip_stride, num_clips=opt.num_clips, **options)


def build_loader(
    opt: Namespace,
    subset: str,
    streams: Sequence[Stream | ClipView | str] | None = None,
    flow: OnlineFlow | None = None,
) -> ClipLoader:
    """Wrap `build_dataset` in batches: of `--batch_size` videos, in testing of `--clips_per_batch` clips."""
    slow = opt.decoder == "python" or (flow and not flow.device)  # threads would wait for each other
    batches = partial(OnlineLoader, flow=flow) if flow and flow.device else ClipLoader
    loader = batches(
        build_dataset(opt, subset, streams, flow),
        batch_size=opt.clips_per_batch if subset == "test" else opt.batch_size,
        train=subset == "train",
        n_workers=opt.n_workers,
        loader="processes" if opt.loader == "auto" and slow else opt.loader,
        pin_memory=opt.device != "cpu" and torch.cuda.is_available(),
        seed=opt.manual_seed,
        max_bad=opt.max_bad if subset == "train" else 0,
        rank=dist.get_rank() if dist.is_initialized() else 0,
        world=dist.get_world_size() if dist.is_initialized() else 1,
    )
    if dropped := loader.batches.dropped:
        log.info(
            "%s of %s training clips an epoch, each time others, are left out: they do not fill a batch",
            *(f"{dropped:,}", f"{loader.batches.num_items:,}"),
        )
    return loader
