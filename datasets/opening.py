"""Opening of the videos of a subset: which of the listed ones are there, and in which form of storage."""

import logging
from collections.abc import Collection, Sequence
from pathlib import Path

from sts_common import check_choice, counted

from .annotation import Annotation
from .decoding.images import DECODERS
from .lists.entries import Entry
from .lists.entry_table import EntryTable
from .loading.online_flow import FLOW_SOURCES
from .records.lookup import MISSING, find_videos, without_quarantined
from .records.manifest import Manifest, read_manifest
from .records.quarantine import read_quarantine
from .stores.cache import DecodedCache
from .stores.detect import ReadOptions, open_store
from .stores.store import Store
from .stores.video_table import VideoTable
from .streams import FLOW, RGB, Stream
from .subset import Videos, find_streams

log = logging.getLogger(__name__)

SUBSETS = ("train", "val", "test")


def open_videos(  # noqa: PLR0913 - what the options of the data say, by keyword
    annotation: Annotation | Path | str,
    frame_dir: Path | str,
    *,
    subset: str = "train",
    dataset: str = "HMDB51",
    split: int = 1,
    val_fraction: float = 0.1,
    streams: Sequence[Stream | str] = (RGB,),
    only_rgb: bool = False,
    flow_source: str = "files",
    layout: str = "auto",
    missing: str = "error",
    scored: bool = False,
    decode: str = "exact",
    decoder: str = "auto",
    video_fps: float | None = 25.0,
    cache: str = "none",
    seed: int = 1,
) -> Videos:
    """Open the videos of a subset: look up every listed one, before anything is read.

    Frames count that have a flow, whichever streams are read, so that all streams are cut into the same clips; there is
    one flow less than frames. With `only_rgb`, and in video files, all frames count.

    Args:
        annotation: Folder of the official label files, or one list; an `Annotation` that several subsets share.
        frame_dir: Folder of the extracted frames, or of the videos.
        subset: "train", "val" or "test".
        dataset: A key of `DATASETS`; like the next two not used if an `Annotation` is given.
        split: Official split, 1, 2 or 3.
        val_fraction: Fraction of the training videos that "val" holds out, in [0, 1); 0: "val" is the test list.
        streams: Streams that every video must have, or their names.
        only_rgb: Flow is not on disk, or not wanted: frames alone count.
        flow_source: "files", or "online", where flow is computed from the frames and need not be stored.
        layout: A key of `STORES`, or "auto", which looks.
        missing: "error" stops at a video that cannot be used; "skip" leaves it out, and says so.
        scored: A test scores the videos of "val", see `Annotation.list_subset`; none in quarantine is left out unasked,
            as in the test list.
        decode: "exact", or "fast", by which "train" decodes JPEG at half size if it hardly shows.
        decoder: A name of `DECODERS`.
        video_fps: Frames per second that video files are read at, in (0, 1000); None or 0 for their own.
        cache: "none"; decoded frames are kept in memory by "ram", or in the folder of this name.
        seed: Draws the videos by which the manifest of an audit is checked, >= 0.

    Raises:
        FileNotFoundError: If a folder, list or video is missing.
        ValueError: If the subset is empty, a video damaged, or an argument outside its limits.

    Examples:
        >>> train = open_videos("HMDB51_labels", "HMDB51")
        >>> val = open_videos("HMDB51_labels", "HMDB51", subset="val")
        >>> test = open_videos("HMDB51_labels", "HMDB51", split=2, subset="test", streams=["rgb", "flow"])
        >>> own = open_videos("videos.csv", "videos", dataset="List", video_fps=10)
    """
    check_choice("subset", subset, SUBSETS)
    check_choice("--flow_source", flow_source, FLOW_SOURCES)
    check_choice("--missing", missing, MISSING)
    check_choice("--decode", decode, ("exact", "fast"))
    check_choice("--decoder", decoder, DECODERS)
    if not 0 <= (video_fps or 0) < 1000:
        raise ValueError(f"--video_fps must be in (0, 1000) or source, got {video_fps:g}")
    if not isinstance(annotation, Annotation):
        annotation = Annotation(annotation, dataset=dataset, split=split, val_fraction=val_fraction)
    listing = annotation.list_subset(subset, scored=scored)
    if not listing.entries:
        raise ValueError(
            f"{annotation.path}: lists no {subset} videos of {annotation.dataset} split {annotation.split}"
        )
    root, wanted = Path(frame_dir), find_streams(streams)
    manifest = read_manifest(root, EntryTable.of(listing.entries).paths, seed=seed)
    options = ReadOptions(decode if subset == "train" else "exact", decoder, video_fps or None)
    store = open_source(root, listing.entries, layout=layout, options=options, manifest=manifest, cache=cache)
    strict = scored or subset == "test" or (subset == "val" and annotation.val_fraction == 0)
    entries = without_quarantined(listing.entries, read_quarantine(root), strict=strict, missing=missing)
    on_disk, spare = streams_needed(wanted, store, only_rgb=only_rgb, flow_source=flow_source)
    return Videos(
        items=find_listed(entries, store, manifest, needs=on_disk, spare=spare, missing=missing),
        store=store,
        class_names=listing.class_names,
        listed=len(listing.entries),
        dataset=annotation.dataset,
        subset=subset,
        streams=wanted,
        flow_source=flow_source,
        video_fps=video_fps or None,
        decoder=decoder,
    )


def open_source(
    root: Path, entries: Sequence[Entry], *, layout: str, options: ReadOptions, manifest: Manifest | None, cache: str
) -> Store:
    """Open the store of the frames that the layout, an audit or the root names; raises as `open_store`."""
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder; --frame_dir must hold the extracted frames or the videos")
    store = open_store(manifest.layout if manifest and layout == "auto" else layout, root, entries, options)
    return store if cache == "none" else DecodedCache(store, cache, decoder=options.decoder)


def streams_needed(
    streams: Collection[Stream], store: Store, *, only_rgb: bool, flow_source: str
) -> tuple[Collection[str], int]:
    """Return the streams that a video must have on disk, and the frames it must have after the last usable one.

    What is made of pairs of frames, as computed flow and differences, takes one frame more.
    """
    needs = {stream.source for stream in streams}
    if not only_rgb:
        needs |= {FLOW.name} & store.streams
    if flow_source == "online":
        needs |= {FLOW.name}  # a teacher's, also where the student's stream alone is named
    on_disk = needs - ({FLOW.name} if flow_source == "online" else set())
    pairs = any(stream.of_pair for stream in streams) and not (FLOW.name in on_disk and store.flow_lag)
    return on_disk, int(pairs or needs != on_disk)


def find_listed(
    entries: Sequence[Entry],
    store: Store,
    manifest: Manifest | None,
    *,
    needs: Collection[str],
    spare: int,
    missing: str,
) -> VideoTable:
    """Find the videos that can be used, by the manifest of an audit where there is one; raises as `find_videos`."""
    if manifest:
        manifest.check(store)
        log.info("%s: %s as audited on %s", store.root, counted(manifest.videos, "video"), manifest.made)
    located = manifest.located if manifest else None
    return find_videos(entries, store, needs=needs, missing=missing, spare=spare, located=located)
