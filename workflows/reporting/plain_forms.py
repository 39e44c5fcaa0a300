"""Plain forms of a report: tables for programs (CSV) and a short page for repositories (Markdown)."""

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ..shared.tables import as_csv
from ..shared.templates import load_template
from .group_report import TOP, GroupReport

TEMPLATE = Path(__file__).with_name("report.md.jinja")
METRICS = ("top1", "top5", "mean_class")
PAIR_COLUMNS = ("system", "true", "predicted", "videos", "share", "other_way_round")
MOST_PAIRS = 10  # of classes, on the short page
AGREEMENT = "agreement.csv"

Row = dict[str, Any]


def results_rows(report: GroupReport) -> Iterator[Row]:
    """Return a row for each system; accuracies in [0, 1]."""
    first = report.group.files[0]
    for result in report.results:
        system = result.system
        yield {
            **{name: first.stated(name) for name in ("dataset", "split", "subset")},
            "system": system.name,
            "fusion": system.fusion,
            "file": system.file.path,
            **{f"video_{name}": result.video[name] for name in METRICS},
            "video_top1_low": result.interval[0],
            "video_top1_high": result.interval[1],
            "gain_of_fusion": result.gain[0] if result.gain else None,
            "gain_low": result.gain[1][0] if result.gain else None,
            "gain_high": result.gain[1][1] if result.gain else None,
            **{f"clip_{name}": result.clip.get(name) for name in METRICS},
            "calibration_error": system.reliability.error,
            **{name.replace(" ", "_"): value for name, value in system.file.protocol.items()},
            "clips": int(system.clips.sum()),
            "videos": len(system.label),
            "listed": system.file.scores.listed,
        }


def class_rows(report: GroupReport) -> Iterator[Row]:
    """Return a row for each class and system."""
    for row in report.classes:
        gains = dict(zip(map(id, report.fused), row.gain, strict=True))
        for system, accuracy in zip(report.systems, row.accuracy, strict=True):
            yield {
                "label": row.label,
                "class": row.name,
                "system": system.name,
                "videos": row.videos,
                "right": int(system.by_class.right[row.label]),
                "accuracy": accuracy if row.videos else None,
                "gain_of_fusion": gains.get(id(system)) if row.videos else None,
            }


def confusion_rows(report: GroupReport) -> Iterator[Row]:
    """Return a row for each cell of a matrix that is not 0."""
    names = report.group.scores.class_names
    for details in report.details:
        for true, predicted in details.table.nonzero().tolist():
            videos = int(details.table[true, predicted])
            values = details.main.name, names[true], names[predicted], videos
            yield dict(zip(PAIR_COLUMNS, values, strict=False))


def pair_rows(report: GroupReport) -> Iterator[Row]:
    """Return a row for each pair of classes that is confused, most videos first."""
    names = report.group.scores.class_names
    for details in report.details:
        for pair in details.pairs:
            classes = names[pair.true], names[pair.predicted]
            values = details.main.name, *classes, pair.videos, pair.share, pair.back
            yield dict(zip(PAIR_COLUMNS, values, strict=True))


def video_rows(report: GroupReport) -> Iterator[Row]:
    """Return a row for each video and system."""
    scores = report.group.scores
    names, labels = scores.class_names, scores.label
    for system in report.systems:
        confidence = system.probability.gather(1, system.predicted[:, None])[:, 0]
        true = system.probability.gather(1, labels[:, None])[:, 0]
        columns = (labels, system.predicted, confidence, true, system.clips)
        for video, *values in zip(scores.video, *(column.tolist() for column in columns), strict=True):
            label, predicted, probability, of_true, clips = values
            yield {
                "system": system.name,
                "video": video,
                "true": names[label],
                "predicted": names[predicted],
                "right": int(label == predicted),
                "probability": probability,
                "probability_of_true": of_true,
                "clips": clips,
            }


def agreement_rows(report: GroupReport) -> Iterator[Row]:
    """Return a row for each class and system that is compared with the teacher, and one for all classes."""
    for agreement in report.agreements:
        pair = {"teacher": agreement.teacher.name, "student": agreement.student.name}
        for row in (agreement.whole, *agreement.classes):
            counts = {"right_both": row.both, "right_teacher_alone": row.teacher, "right_student_alone": row.student}
            yield pair | {"class": row.name, "videos": row.videos, "same": row.same} | counts


TABLES: dict[str, Callable[[GroupReport], Iterator[Row]]] = {
    "results.csv": results_rows,
    "per_class.csv": class_rows,
    "confusion.csv": confusion_rows,
    "pairs.csv": pair_rows,
    "videos.csv": video_rows,
    AGREEMENT: agreement_rows,  # with a teacher alone
}


def table_text(make: Callable[[GroupReport], Iterator[Row]], reports: Sequence[GroupReport]) -> str:
    """Format rows of all groups as CSV, with the number of each; numbers with six decimals, empty where unknown."""
    rows = [{"group": report.group.number} | row for report in reports for row in make(report)]
    columns = list(rows[0]) if rows else ["group", *PAIR_COLUMNS]  # all right: no pairs, but every other table has rows
    return as_csv([columns, *([row[name] for name in columns] for row in rows)])


def printable(text: object) -> str:
    """Format text from outside on one line: unprintable characters as escapes."""
    text = str(text)
    return text if text.isprintable() else ascii(text)[1:-1]


def escaped(text: object) -> str:
    """Escape text from outside for Markdown, where it means nothing but itself."""
    return re.sub(r"([\\`*_{}\[\]<>()#+!|~&])", r"\\\1", printable(text))


def as_markdown(reports: Sequence[GroupReport]) -> str:
    """Format the results of all groups, and of each file its confused classes and disagreeing streams."""
    template = load_template(TEMPLATE, escaped=escaped)
    return template.render(reports=reports, metrics=METRICS, top=TOP, most_pairs=MOST_PAIRS)
