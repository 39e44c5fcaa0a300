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
SHOWN = 5  # neighbours of a query on the page


class Retrieval(NamedTuple):
    """Nearest training videos of test videos.

    Attributes:
        queries: Test videos.
        gallery: Training videos.
        cosines: Shape (Q, count), the largest first.
        positions: In the gallery, (Q, count).
        hits: Queries with a neighbour of their class among the nearest k, by k.
    """

    queries: VideoFeatures
    gallery: VideoFeatures
    cosines: Tensor
    positions: Tensor
    hits: dict[int, int]


def retrieve(queries: VideoFeatures, gallery: VideoFeatures, ranks: Sequence[int]) -> Retrieval:
    """Find the training videos nearest to each test video.

    Raises:
        ValueError: If a rank is below 1.
    """
    if min(ranks, default=0) < 1:
        raise ValueError(f"--ranks {' '.join(map(str, ranks)) or '(none)'}: must be >= 1")
    cosines, positions = nearest(queries.features, gallery.features, max(*ranks, SHOWN))
    return Retrieval(
        queries, gallery, cosines, positions, retrieval_hits(queries.label, gallery.label[positions], ranks)
    )


def lines_of(retrieval: Retrieval) -> list[str]:
    """Format the accuracies, as Distil-2D-3D prints them."""
    total = len(retrieval.queries.video)
    return [
        f"Top-{k}, correct = {count:.2f}, total = {total}, acc = {count / total:.3f}"
        for k, count in retrieval.hits.items()
    ]


def write_results(retrieval: Retrieval, path: Path) -> None:
    """Write counts, accuracies and what they are of as JSON."""
    total = len(retrieval.queries.video)
    content = {
        "videos": total,
        "gallery": len(retrieval.gallery.video),
        "chance": chance(retrieval),
        "correct": retrieval.hits,
        "accuracy": {k: count / total for k, count in retrieval.hits.items()},
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

    Raises:
        FileNotFoundError: If the frames are not there.
        ValueError: If they are stored in no way that is known, or the count is below 1.
    """
    if count < 1:
        raise ValueError(f"--queries {count}: must be >= 1")
    total = len(retrieval.queries.video)
    draw = [strips_of(part, "") for part in (retrieval.queries, retrieval.gallery)]
    chosen = sorted({i * total // count for i in range(min(count, total))})
    rows = [
        (
            shown(retrieval.queries, draw[0], i),
            [
                shown(retrieval.gallery, draw[1], j)
                | {"cosine": cosine, "right": bool(label == retrieval.queries.label[i])}
                for j, cosine, label in neighbours(retrieval, i)
            ],
        )
        for i in chosen
    ]
    total, gallery = len(retrieval.queries.video), len(retrieval.gallery.video)
    accuracy = {k: count / total for k, count in retrieval.hits.items()}
    template = html_environment(TEMPLATE.parent).get_template(TEMPLATE.name)
    about = retrieval.queries.about
    write_text(
        path,
        template.render(
            rows=rows, accuracy=accuracy, chance=chance(retrieval), total=total, gallery=gallery, about=about
        ),
    )


def neighbours(retrieval: Retrieval, query: int) -> list[tuple[int, float, int]]:
    """Return position, cosine and label of those neighbours of a query that are shown."""
    positions = retrieval.positions[query, :SHOWN]
    return list(
        zip(
            *(
                positions.tolist(),
                retrieval.cosines[query, :SHOWN].tolist(),
                retrieval.gallery.label[positions].tolist(),
            ),
            strict=True,
        )
    )


def shown(videos: VideoFeatures, draw: Callable[[int], Strip], position: int) -> dict[str, Any]:
    """Return what the page shows of a video."""
    class_name = videos.class_names[int(videos.label[position])]
    return {"name": videos.video[position], "class": class_name, "strip": draw(position)}
