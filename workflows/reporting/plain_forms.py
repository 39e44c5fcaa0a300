"""Plain forms of a report: tables for programs (CSV) and a short page for repositories (Markdown)."""

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sts_common import counted
from sts_common.files import encoded

from .accuracies import TOP, Result
from .details import Details
from .group_report import GroupReport

METRICS = ("top1", "top5", "mean_class")
PAIR_COLUMNS = ("system", "true", "predicted", "videos", "share", "other_way_round")
SHOWN = 10  # pairs of a short page

Row = dict[str, Any]


def results_rows(report: GroupReport) -> Iterator[Row]:
    """Return a row for each system; accuracies in [0, 1]."""
    first = report.group.files[0]
    for result in report.results:
        yield {
            **{name: first.told(name) for name in ("dataset", "split", "subset")},
            "system": result.system.name,
            "fusion": result.system.fusion,
            "file": result.system.file.path,
            **{f"video_{name}": result.video[name] for name in METRICS},
            "video_top1_low": result.interval[0],
            "video_top1_high": result.interval[1],
            "gain_of_fusion": result.gain[0] if result.gain else None,
            "gain_low": result.gain[1][0] if result.gain else None,
            "gain_high": result.gain[1][1] if result.gain else None,
            **{f"clip_{name}": result.clip.get(name) for name in METRICS},
            "calibration_error": result.system.reliability.error,
            **{name.replace(" ", "_"): value for name, value in result.protocol.items()},
            "clips": result.clips,
            "videos": result.videos,
            "listed": result.listed,
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
            yield {
                "system": details.main.name,
                "true": names[true],
                "predicted": names[predicted],
                "videos": int(details.table[true, predicted]),
            }


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


TABLES: dict[str, Callable[[GroupReport], Iterator[Row]]] = {
    "results.csv": results_rows,
    "per_class.csv": class_rows,
    "confusion.csv": confusion_rows,
    "pairs.csv": pair_rows,
    "videos.csv": video_rows,
}


def as_csv(make: Callable[[GroupReport], Iterator[Row]], reports: Sequence[GroupReport]) -> bytes:
    """Format rows of all groups, with the number of each; numbers with six decimals, empty where unknown."""
    text = io.StringIO(newline="")
    rows = [{"group": report.group.number} | row for report in reports for row in make(report)]
    columns = list(rows[0]) if rows else ["group", *PAIR_COLUMNS]  # all right: no pairs, but every other table has rows
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: f"{value:.6f}" if isinstance(value, float) else value for name, value in row.items()})
    return encoded(text.getvalue())


def shown(text: object) -> str:
    """Format text from outside on one line: unprintable characters as escapes."""
    text = str(text)
    return text if text.isprintable() else ascii(text)[1:-1]


def escaped(text: object) -> str:
    """Escape text from outside for Markdown, where it means nothing but itself."""
    return re.sub(r"([\\`*_{}\[\]<>()#+!|~&])", r"\\\1", shown(text))


def percent(value: float, digits: int = 1) -> str:
    """Format a fraction as a percentage without its sign."""
    return f"{100 * value:.{digits}f}"


def as_markdown(reports: Sequence[GroupReport]) -> str:
    """Format the results of all groups, and of each file its confused classes and disagreeing streams."""
    lines = ["# Test results"]
    for report in reports:
        lines += ["", f"## {escaped(report.group.title)}: {counted(len(report.group.scores.video), 'video')}", ""]
        lines += [f"* {number}: {escaped(file.label)}" for number, file in enumerate(report.group.files, 1)]
        lines += [f"* **{escaped(notice)}**" for notice in report.notices]
        lines += ["", *results_table(report)]
        for details in report.details:
            lines += ["", f"### {escaped(details.main.name)}", "", *details_lines(details)]
    return "\n".join(lines) + "\n"


def results_table(report: GroupReport) -> list[str]:
    """Tabulate accuracies in percent, and the test protocol of each system."""
    tested = list(report.results[0].protocol)
    head = ["system", "video top-1", "95 %", "video top-5", "video mean class", "clip top-1", "clip top-5"]
    head += ["clip mean class", *tested, "clips", "videos"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for result in report.results:
        cells = [*accuracies(result), *(escaped(result.protocol[name]) for name in tested), f"{result.clips:,}"]
        cells.append(f"{result.videos:,} of {result.listed:,}")
        lines.append(f"| {escaped(result.system.name)} | " + " | ".join(cells) + " |")
    return lines


def accuracies(result: Result) -> list[str]:
    """Format a result: over videos with the interval, then over clips; "-" where unknown or of no meaning."""
    few = result.system.scores.shape[1] <= TOP
    video, clip = (
        ["-" if name not in part or (few and name == "top5") else percent(part[name]) for name in METRICS]
        for part in (result.video, result.clip)
    )
    low, high = map(percent, result.interval)
    return [video[0], f"{low} to {high}", *video[1:], *clip]


def details_lines(details: Details) -> list[str]:
    """Format confused pairs, streams that disagree, calibration."""
    names = details.file.scores.class_names
    lines = ["Taken for another class most often:", ""] if details.pairs else ["No video is wrong."]
    lines += [
        f"* {escaped(names[pair.true])} for {escaped(names[pair.predicted])}: {counted(pair.videos, 'video')}, "
        f"{percent(pair.share, 0)} %"
        for pair in details.pairs[:SHOWN]
    ]
    if found := details.disagreement:
        streams = [escaped(stream.stream) for stream in found.streams]
        lines += ["", "| " + " | ".join([*streams, "videos", "fused right"]) + " |", "|---" * (len(streams) + 2) + "|"]
        for outcome in found.outcomes:
            marks = ["right" if hit else "wrong" for hit in outcome.right]
            lines.append("| " + " | ".join([*marks, f"{outcome.videos:,}", f"{outcome.fused:,}"]) + " |")
    errors = ", ".join(f"{escaped(s.stream)} {percent(s.reliability.error)} %" for s in details.systems)
    return [*lines, "", f"Expected calibration error: {errors}."]
