"""Retrieval: features of videos, their nearest neighbours, and how often one of these has the class of the query."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sts_common.files import write_atomically
from sts_common.json_text import as_json

from .scores import MALFORMED

KINDS = {"video": "U", "label": "i", "class_names": "U", "features": "f"}
BLOCK = 2**24  # similarities in memory at a time, 64 MiB


@dataclass(frozen=True)
class VideoFeatures:
    """Features of N videos of K classes; saved as .npz."""

    video: list[str]  # N names, as the annotation has them
    label: Tensor  # class indices, (N,) int64
    class_names: list[str]  # K names
    features: Tensor  # mean over the clips of each video, (N, C) float32
    about: dict[str, Any] = field(default_factory=dict)  # what they are of: as `Scores.about`, and "feature"

    def save(self, path: Path) -> None:
        """Write them, whole or not at all."""
        arrays = {
            "video": np.array(self.video, str),
            "label": self.label.numpy(),
            "class_names": np.array(self.class_names, str),
            "features": self.features.numpy(),
            "about": np.array(as_json(self.about)),
        }
        write_atomically(path, lambda file: np.savez(file, allow_pickle=False, **arrays))


def load_features(path: Path) -> VideoFeatures:
    """Read features; nothing in the file is executed.

    Raises FileNotFoundError if there is no file; ValueError if it is damaged, or holds something else.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file of features")
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays, about = {name: file[name] for name in KINDS}, json.loads(str(file["about"]))
    except MALFORMED:
        raise ValueError(f"{path}: damaged, or no file of features of test_retrieval.py") from None
    videos, classes = len(np.atleast_1d(arrays["video"])), len(np.atleast_1d(arrays["class_names"]))
    label, features = arrays["label"], arrays["features"]
    if (
        any(arrays[name].dtype.kind != kind for name, kind in KINDS.items())
        or not isinstance(about, dict)
        or (label.shape, features.shape[:1], features.ndim) != ((videos,), (videos,), 2)
        or not (np.isfinite(features).all() and (label >= 0).all() and (label < classes).all())
    ):
        raise ValueError(f"{path}: no file of features of test_retrieval.py")
    names, class_names = arrays["video"].tolist(), arrays["class_names"].tolist()
    return VideoFeatures(names, torch.from_numpy(label), class_names, torch.from_numpy(features), about)


def nearest(queries: Tensor, gallery: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Find the features of a gallery (G, C) that point in the most similar directions to those of queries (Q, C).

    Memory does not grow with the product of both: similarities are computed in blocks of `BLOCK`. Returns cosines (Q,
    count), the largest first, and positions in the gallery, int64; `count` is at most G.
    """
    directions, count = F.normalize(gallery.float(), dim=1).T, min(count, len(gallery))
    rows = max(1, BLOCK // len(gallery))
    best = [(F.normalize(block.float(), dim=1) @ directions).topk(count, dim=1) for block in queries.split(rows)]
    return torch.cat([block.values for block in best]), torch.cat([block.indices for block in best])


def retrieval_hits(label: Tensor, neighbours: Tensor, ranks: Sequence[int]) -> dict[int, int]:
    """Count the queries (Q,) that have their class among the labels of the nearest k neighbours, for each k of `ranks`.

    Neighbours are (Q, count), the nearest first; beyond `count` all are looked at.
    """
    right = neighbours == label[:, None]
    return {k: int(right[:, :k].any(1).sum()) for k in ranks}
