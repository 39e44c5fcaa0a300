"""Fingerprint of the videos in use, by which a checkpoint recognises its data."""

import hashlib
from collections.abc import Sequence
from itertools import islice
from typing import Any

from ..clips.views import Placement, whole
from ..lists.entries import Entry
from ..lists.text_columns import AT_ONCE, in_parts
from ..stores.store import Video
from ..stores.video_table import frames_of, labels_of, names_of
from ..streams import sources_of
from ..subset import Videos
from ..video import ClipDataset, VideoDataset


def list_sha256(videos: Sequence[Entry] | Sequence[Video]) -> str:
    """Compute the SHA-256 of a list: of a line "name label" with LF for each video, in UTF-8, in order.

    `sha256sum` gives the same of a file of such lines.
    """
    digest = hashlib.sha256()
    classes = labels_of(videos)
    labels = (label for rows in in_parts(len(classes)) for label in classes[rows].tolist())
    lines = (f"{name} {label}\n" for name, label in zip(names_of(videos), labels, strict=True))
    while text := "".join(islice(lines, AT_ONCE)):
        digest.update(text.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def describe_videos(dataset: VideoDataset | ClipDataset) -> dict[str, Any]:
    """Return the fingerprint of a data set's videos, as plain values.

    These are "videos" used, "listed", "sha256" of those used, "frames" in all of them, and "image", height and width of
    the first video's images, None where the first one cannot be read.
    """
    videos = dataset.videos
    return {
        "videos": len(videos),
        "listed": videos.listed if isinstance(videos, Videos) else len(videos),
        "sha256": list_sha256(videos),
        "frames": int(frames_of(videos).sum()),
        "image": image_size(dataset),
    }


def image_size(dataset: VideoDataset | ClipDataset) -> list[int] | None:
    """Return height and width of the first image; None if it is damaged, which is for the loader to report."""
    reader = dataset.reader
    try:
        frame = reader.store.read(dataset.videos[0], sources_of(reader.views)[0], [1], Placement(whole))
    except (OSError, ValueError):
        return None
    return list(frame.shape[-2:])
