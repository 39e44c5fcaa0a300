"""Recipe of clips in a checkpoint: how its data were made, and whether other data fit it."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sts_common import counted

from ..clip_options import RECIPE, ClipOptions
from ..stores.cache import DecodedCache
from ..stores.provenance import FRAMES_FILE, flow_mismatch, read_provenance, read_record
from ..stores.store import Store
from ..stores.video_files import VideoFiles
from ..streams import Stream
from ..subset import Videos

log = logging.getLogger(__name__)

# Settings that may differ, or are compared elsewhere.
NOT_COMPARED = {"train_sampling", "crop", "normalisation", "video_fps", "stream"}
# What a test takes of a video, for a training that takes this; any other is a sliding window over every frame.
TEST_SAMPLING = {"segments": "segments", "stacks": "segments"}


def make_recipe(videos: Videos, clips: ClipOptions, flow: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Describe how training clips are made, as plain values. Normalisation is in the network's metadata.

    Args:
        videos: The training videos.
        clips: How they are cut.
        flow: Content of `flow.json`, where flow is computed.

    Returns:
        The options that shape a clip of a test, too, by the names that they have on a command line; the rate of video
        files is that of the images in use, whatever they are. "train_sampling", and "test", its counterpart, see
        `ClipOptions.from_recipe`; "crop" of training; "provenance" of the images.
    """
    settings = cut_by(clips) | {"video_fps": videos.video_fps or 0.0, "crop": clips.crop}
    return state_recipe(settings, clips.train_sampling, images_made(videos.store, videos.flow_source), flow)


def cut_by(clips: ClipOptions) -> dict[str, Any]:
    """Return what shapes a clip of a test, too, by the names that it has in a recipe."""
    return {option: getattr(clips, name) for option, name in RECIPE.items()}


def state_recipe(
    settings: Mapping[str, Any], train_sampling: str, images: Mapping[str, Any], flow: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return a recipe of options, the metadata of the images, and those of flow that is computed."""
    rate = {"video_fps": images["fps"] or 0.0} if "fps" in images else {}
    return {
        **settings,
        **rate,
        "train_sampling": train_sampling,
        "test": {"test_sampling": TEST_SAMPLING.get(train_sampling, "all")},
        "provenance": {**images, **(flow or {})},
    }


def images_made(store: Store, flow_source: str = "files") -> dict[str, Any]:
    """Return the metadata of a store's images; video files are read at the store's rate and their own size."""
    source = store.store if isinstance(store, DecodedCache) else store
    if isinstance(source, VideoFiles):
        return {"fps": source.fps, "short_side": None}
    return provenance(source.root, flow_source=flow_source)


def provenance(
    root: Path, *, layout: str = "auto", video_fps: float | None = None, flow_source: str = "files"
) -> dict[str, Any]:
    """Return the metadata of the images in use below `root`, without a look at them; arguments as of `open_videos`.

    In layout "video" they are read at `video_fps` (None or 0: those of each file) and their own size.
    """
    if layout == "video":
        return {"fps": video_fps or None, "short_side": None}
    return read_record(root / FRAMES_FILE) if flow_source == "online" else read_provenance(root)


def check_videos(
    videos: Videos,
    clips: ClipOptions,
    checkpoint: Mapping[str, Any],
    source: str,
    *,
    stream: Stream,
    allow_flow_mismatch: bool = False,
) -> None:
    """Refuse videos that a checkpoint's network would misread.

    Args:
        videos: What it is to read.
        clips: How they are cut; differences from the checkpoint's clips are reported.
        checkpoint: Its content.
        source: Its name, for errors.
        stream: Stream that the network reads.
        allow_flow_mismatch: Use flow that differs from what the network saw.

    Raises:
        ValueError: If classes or the encoding of flow differ.
    """
    recipe, images = checkpoint.get("recipe", {}), images_made(videos.store, videos.flow_source)
    check_classes(checkpoint.get("class_names"), videos.class_names, source, videos.dataset)
    report_other_clips(recipe, cut_by(clips), source)
    if stream.is_flow and not allow_flow_mismatch:
        check_flow(images, recipe, source, videos.store.root, videos.flow_source)


def report_other_clips(recipe: Mapping[str, Any], settings: Mapping[str, Any], source: str) -> None:
    """Log in which settings of both the clips in use differ from those of a recipe."""
    for name in sorted(recipe.keys() & settings.keys() - NOT_COMPARED):
        if recipe[name] != settings[name]:
            log.warning("%s: trained with --%s %s, used with %s", source, name, recipe[name], settings[name])


def check_classes(stored: Sequence[str] | None, names: Sequence[str], source: str, where: Path | str) -> None:
    """Refuse class names of the data, annotated at `where`, that are not those stored in the checkpoint `source`.

    One that stores an empty list was trained without labels; where nothing is stored, nothing is known.
    """
    if stored is not None and not stored:
        raise ValueError(
            f"{source}: was trained without labels, so it has no class names; teach it classes with "
            "train.py --pretrain_path"
        )
    if stored and list(stored) != list(names):
        raise ValueError(
            f"{source}: trained on {counted(len(stored), 'class')} ({', '.join(stored[:3])}, ...), but "
            f"{where} has {len(names)} ({', '.join(names[:3])}, ...)"
        )


def check_flow(
    images: Mapping[str, Any], recipe: Mapping[str, Any], source: str, where: Path | str, flow_source: str = "files"
) -> None:
    """Refuse flow that a network would misread: if its encoding or its frames are not those of the checkpoint `source`.

    Images are the metadata of those in use, see `provenance`, which lie at `where`. Raises ValueError if the encoding
    of flow or its frames differ.
    """
    if differences := flow_mismatch(dict(images), recipe.get("provenance", {})):
        raise ValueError(
            f"{source}: saw other flow than {where} gives: {'; '.join(differences)}. Extract the "
            f"{'frames' if flow_source == 'online' else 'flow'} again, or go on with --allow_flow_mismatch"
        )
