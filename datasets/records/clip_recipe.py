"""Recipe of clips in a checkpoint: how its data were made, and whether other data fit it."""

import logging
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sts_common import counted

from ..loading.loader import ClipLoader
from ..stores.cache import DecodedCache
from ..stores.provenance import FRAMES_FILE, flow_mismatch, read_provenance, read_record
from ..stores.store import Store
from ..stores.video_files import VideoFiles
from ..streams import FLOW, Stream
from ..video import VideoDataset

log = logging.getLogger(__name__)

ELSEWHERE = {"train_sampling", "normalisation", "video_fps", "stream"}  # may differ, or are compared where they count
# What a test takes of a video, for a training that takes this; any other is a sliding window over every frame.
TEST_SAMPLING = {"segments": "segments"}


def build_recipe(
    opt: Namespace, loader: ClipLoader, names: Sequence[str], flow: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Describe how the clips were made, as plain values. Normalisation is in the network's metadata.

    Args:
        opt: Describes the data.
        loader: Reads them.
        names: Options that shape a clip of a test, too.
        flow: Content of `flow.json`, where flow is computed.

    Returns:
        These options, as a test takes them; the rate of video files is that of the images in use, whatever they are.
        "train_sampling", and "test", its counterpart, see `opts.as_trained`; "provenance" of the images.
    """
    assert isinstance(loader.dataset, VideoDataset)
    images = images_made(opt, loader.dataset.reader.store)
    rate = {"video_fps": images["fps"] or 0.0} if "fps" in images else {}
    return {
        **{name: getattr(opt, name) for name in names},
        **rate,
        "train_sampling": opt.train_sampling,
        "test": {"test_sampling": TEST_SAMPLING.get(opt.train_sampling, "all")},
        "provenance": images | dict(flow or {}),
    }


def images_made(opt: Namespace, store: Store) -> dict[str, Any]:
    """Return the metadata of a store's images; video files are read at `--video_fps` and their own size."""
    source = store.store if isinstance(store, DecodedCache) else store
    return {"fps": source.fps, "short_side": None} if isinstance(source, VideoFiles) else provenance(opt)


def provenance(opt: Namespace) -> dict[str, Any]:
    """Return the metadata of the images in use; stored flow is not in use where flow is computed."""
    root = Path(opt.frame_dir)
    if opt.layout == "video":
        return {"fps": opt.video_fps or None, "short_side": None}
    return read_record(root / FRAMES_FILE) if opt.flow_source == "online" else read_provenance(root)


def check_data(
    opt: Namespace, checkpoint: Mapping[str, Any], source: str, stream: Stream, class_names: Sequence[str] | None
) -> None:
    """Refuse data that a checkpoint's network would misread.

    Args:
        opt: Describes the data.
        checkpoint: Content of the checkpoint; a published one, which knows nothing, fits.
        source: Its name, for errors.
        stream: Stream that the network reads.
        class_names: Class names of the data, None where the classifier is about to be replaced.

    Raises:
        ValueError: If classes, clip geometry or the encoding of flow differ.
    """
    stored = checkpoint.get("class_names")
    if stored and class_names is not None and list(stored) != list(class_names):
        raise ValueError(
            f"{source}: trained on {counted(len(stored), 'class')} ({', '.join(stored[:3])}, ...), but "
            f"{opt.annotation_path} has {len(class_names)} ({', '.join(class_names[:3])}, ...)"
        )
    recipe = checkpoint.get("recipe", {})
    for name in sorted(recipe.keys() & vars(opt).keys() - ELSEWHERE):
        if recipe[name] != getattr(opt, name):
            log.warning("%s: trained with --%s %s, used with %s", source, name, recipe[name], getattr(opt, name))
    if stream.source == FLOW.name:
        differences = flow_mismatch(provenance(opt), recipe.get("provenance", {}))
        if differences and not opt.allow_flow_mismatch:
            raise ValueError(
                f"{source}: saw other flow than {opt.frame_dir} gives: {'; '.join(differences)}. Extract the "
                f"{'frames' if opt.flow_source == 'online' else 'flow'} again, or go on with --allow_flow_mismatch"
            )
