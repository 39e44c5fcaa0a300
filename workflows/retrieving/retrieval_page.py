"""Accuracy of retrieval, and a page of queries beside their nearest training videos."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from engine.evaluation.retrieval import VideoFeatures, nearest, retrieval_hits
from sts_common.files import write_text
from sts_common.json_text import as_json

from ..shared.frame_strips import Strip, strips_of
from ..shared.templates import html_environment

TEMPLATE = Path(__file__).with_name("page.html.jinja")
NEIGHBOURS = 5  # of a query, on the page


class Retrieval(NamedTuple):
    """Nearest training videos of test videos."""

    queries: VideoFeatures  # of the test videos
    gallery: VideoFeatures  # of the training videos
    cosines: Tensor  # (Q, count), the largest first
    positions: Tensor  # in the gallery, (Q, count)
    hits: dict[int, int]  # queries with a neighbour of their class among the nearest k, by k

    @property
    def accuracy(self) -> dict[int, float]:
        """Share of such queries by k, in [0, 1]."""
        return {k: count / len(self.queries.video) for k, count in self.hits.items()}


def retrieve(queries: VideoFeatures, gallery: VideoFeatures, ranks: Sequence[int]) -> Retrieval:
    """Find the training videos nearest to each test video; raises ValueError if a rank is below 1."""
    if min(ranks, default=0) < 1:
        raise ValueError(f"--ranks {' '.join(map(str, ranks)) or '(none)'}: must be >= 1")
    cosines, positions = nearest(queries.features, gallery.features, max(*ranks, NEIGHBOURS))
    hits = retrieval_hits(queries.label, gallery.label[positions], ranks)
    return Retrieval(queries, gallery, cosines, positions, hits)


def lines_of(retrieval: Retrieval) -> list[str]:
    """Format the accuracies, as Distil-2D-3D prints them."""
    total = len(retrieval.queries.video)
    return [
        f"Top-{k}, correct = {retrieval.hits[k]:.2f}, total = {total}, acc = {accuracy:.3f}"
        for k, accuracy in retrieval.accuracy.items()
    ]


def write_results(retrieval: Retrieval, path: Path) -> None:
    """Write counts, accuracies and what they are of as JSON."""
    content = {
        "videos": len(retrieval.queries.video),
        "gallery": len(retrieval.gallery.video),
        "chance": chance(retrieval),
        "correct": retrieval.hits,
        "accuracy": retrieval.accuracy,
        "about": retrieval.queries.about,
    }
    write_text(path, as_json(content, indent=2))


def chance(retrieval: Retrieval) -> float:
    """Return the top-1 accuracy of a training video drawn at random, in [0, 1]."""
    classes = max(len(retrieval.gallery.class_names), len(retrieval.queries.class_names))
    shares = [torch.bincount(part.label, minlength=classes).double() for part in (retrieval.queries, retrieval.gallery)]
    return float(torch.dot(shares[0], shares[1]) / (shares[0].sum() * shares[1].sum()))


def write_page(retrieval: Retrieval, path: Path, count: int) -> None:
    """Write a page of `count` queries, evenly spaced over the list, each with its nearest training videos.

    Raises FileNotFoundError if the frames are not there; ValueError if they are stored in no way that is known, or the
    count is below 1.
    """
    if count < 1:
        raise ValueError(f"--queries {count}: must be >= 1")
    queries, gallery, total = retrieval.queries, retrieval.gallery, len(retrieval.queries.video)
    draw_query, draw_neighbour = strips_of(queries, ""), strips_of(gallery, "")
    rows, count = [], min(count, total)
    for i in (k * total // count for k in range(count)):
        positions, cosines = (values[i, :NEIGHBOURS].tolist() for values in (retrieval.positions, retrieval.cosines))
        neighbours = [
            {
                **describe(gallery, draw_neighbour, j),
                "cosine": cosine,
                "right": bool(gallery.label[j] == queries.label[i]),
            }
            for j, cosine in zip(positions, cosines, strict=True)
        ]
        rows.append((describe(queries, draw_query, i), neighbours))
    page = html_environment(TEMPLATE.parent).get_template(TEMPLATE.name)
    values = {"accuracy": retrieval.accuracy, "chance": chance(retrieval), "about": queries.about}
    write_text(path, page.render(rows=rows, total=total, gallery=len(gallery.video), **values))


def describe(videos: VideoFeatures, draw: Callable[[int], Strip], position: int) -> dict[str, Any]:
    """Return the name, the class and the frames of a video, for the page."""
    class_name = videos.class_names[int(videos.label[position])]
    return {"name": videos.video[position], "class": class_name, "strip": draw(position)}
