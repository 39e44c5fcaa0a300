"""The fusion laboratory's report as Markdown tables; accuracies in per cent."""

from collections.abc import Iterator, Sequence
from typing import Any

from sts_common import counted

from .systems import Row

Lines = Iterator[str]


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a table whose first column is text and the others numbers."""
    rule = ["---", *["--:"] * (len(header) - 1)]
    escaped = [[" ".join(cell.split()).replace("|", "\\|") for cell in row] for row in (header, rule, *rows)]
    return "\n".join("| " + " | ".join(row) + " |" for row in escaped) + "\n"


def as_text(report: Row, *, every: bool = False) -> str:
    """Format all tables of a report; `every` adds all weightings to the table of fusions."""
    if "splits" in report:
        return "\n".join(splits(report))
    parts = [overview(report), alone(report), fusions(report, every)]
    parts += [fitted(report)] if "fit" in report else []
    parts += [calibration(report), comparisons(report)]
    return "\n".join(line for part in parts for line in part)


def percent(value: float) -> str:
    """Format an accuracy."""
    return f"{100 * value:.2f}"


def with_interval(value: float, interval: Sequence[float], sign: str = "") -> str:
    """Format an accuracy or a difference, and its interval."""
    number, low, high = (format(100 * x, f"{sign}.2f") for x in (value, *interval))
    return f"{number} [{low}, {high}]"


def probability(p: float) -> str:
    """Format a p value, also one that is too small for a number."""
    return f"= {p:.3g}" if p else "< 1e-300"


def ratio(weights: Sequence[float] | None) -> str:
    """Format weights of streams, in short."""
    return "equal" if weights is None else " : ".join(f"{weight:.3g}" for weight in weights)


def cells(row: Row) -> list[str]:
    """Format accuracies of a system, and its difference; "-" for missing ones."""
    return [
        with_interval(row["top1"], row["top1_interval"]),
        *(percent(row[name]) if name in row else "-" for name in ("top5", "mean_class")),
        with_interval(row["difference"], row["difference_interval"], "+"),
    ]


def overview(report: Row) -> Lines:
    """Describe the scored videos, and the intervals."""
    about, bootstrap = report["about"], report["bootstrap"]
    yield (
        f"{counted(report['videos'], 'video')} of {counted(report['classes'], 'class')} ({describe(about)}), "
        f"streams {', '.join(report['streams'])}."
    )
    yield (
        f"In brackets {100 * bootstrap['level']:g} % intervals: percentile bootstrap over videos, "
        f"{bootstrap['resamples']:,} resamples, seed {bootstrap['seed']}.\n"
    )


def describe(about: dict[str, Any]) -> str:
    """Describe data set, split and subset, where the file states them."""
    split = f"split {about['split']}" if about.get("split") is not None else ""
    return ", ".join(filter(None, (about.get("dataset"), split, about.get("subset")))) or "the file does not say which"


def alone(report: Row) -> Lines:
    """Tabulate each stream, and where streams agree."""
    header = ["%", "top-1", "top-5", "mean class", "minus activno"]
    names = {"oracle": "oracle: any stream right", "activno": f"activno of {', '.join(report['streams'])}"}
    yield "## Streams\n"
    yield markdown(header, [[names.get(row["system"], row["system"]), *cells(row)] for row in report["alone"]])
    if report["agreement"]:
        header = ["videos", "both right", "only the first", "only the second", "same error", "other errors"]
        keys = ("both_right", "only_first", "only_second", "same_error", "other_errors")
        rows = [[f"{r['first']}, {r['second']}", *(f"{r[key]:,}" for key in keys)] for r in report["agreement"]]
        yield markdown(header, rows)


def fusions(report: Row, every: bool) -> Lines:
    """Tabulate every fusion and weighting, or the best weighting of each fusion and those that were asked for."""
    header = ["fusion, %", "weights", "top-1", "top-5", "mean class", "minus activno, equal"]
    rows = report["fusions"] if every else best_of_each(report["fusions"], report.get("fusion_weights"))
    yield f"## Fusions of {', '.join(report['streams'])}\n"
    yield markdown(header, [[row["fusion"], ratio(row["weights"]), *cells(row)] for row in rows])
    if hidden := len(report["fusions"]) - len(rows):
        yield f"The best weighting of each fusion; --all shows the other {hidden} as well.\n"
    if report["about"].get("subset") != "val":
        yield "Chosen from this table, a fusion is fitted to the videos it is reported on: choose by --fit.\n"


def best_of_each(rows: Sequence[Row], extra: Sequence[float] | None) -> list[Row]:
    """Choose each fusion's best weighting by top-1, then mean class, and the one asked for, in table order."""
    best: dict[str, Row] = {}
    for row in rows:
        held = best.setdefault(row["fusion"], row)
        if (row["top1"], row["mean_class"]) > (held["top1"], held["mean_class"]):
            best[row["fusion"]] = row
    return [row for row in rows if row is best[row["fusion"]] or row["weights"] == extra]


def fitted(report: Row) -> Lines:
    """Tabulate fitted weights and temperatures: their accuracy on the held-out videos and on the test."""
    fit = report["fit"]
    yield f"## Fitted on {counted(fit['videos'], 'held-out video')}\n"
    header = ["fusion, %", "fitted", "weights", "held-out top-1", "test top-1", "minus activno, equal"]
    rows = [
        [row["fusion"], row["fitted"], ratio(row["weights"]), percent(row["held_out_top1"]), *cells(row)[::3]]
        for row in fit["systems"]
    ]
    yield markdown(header, rows)
    curve = fit["sweep"]["activno"]
    if len(report["streams"]) == 2:
        yield markdown(
            [f"activno, {' : '.join(report['streams'])}", "held-out top-1, %"],
            [[ratio(row["weights"]), percent(row["top1"])] for row in curve],
        )
    yield from (f"Note: {note}.\n" for note in fit["notes"])


def calibration(report: Row) -> Lines:
    """Tabulate ECE, NLL and Brier score before and after the temperature, of held-out videos and of the test."""
    parts = [("test", report["calibration"])]
    if "fit" in report:
        parts = [("held out", report["fit"]["held_out_calibration"]), ("test", report["fit"]["calibration"])]
    header = ["", "temperature", "ECE, %", "NLL", "Brier"]
    rows = []
    for where, systems in parts:
        for row in systems:
            rows.append([f"{row['system']}, {where}", "1", *measures(row["before"])])
            if row["after"]:
                rows.append([f"{row['system']}, {where}", f"{row['temperature']:.3f}", *measures(row["after"])])
    yield "## Calibration\n"
    yield markdown(header, rows)
    yield "ECE in 15 bins of equal width; NLL in nats; Brier score summed over classes, 0 to 2.\n"


def measures(row: Row) -> list[str]:
    """Format ECE, NLL and Brier score."""
    return [percent(row["ece"]), f"{row['nll']:.4f}", f"{row['brier']:.4f}"]


def comparisons(report: Row) -> Lines:
    """Tabulate comparisons of two systems each."""
    for row in report["compare"]:
        first, second = row["first_system"], row["second_system"]
        yield f"## {first} against {second}\n"
        yield markdown(
            ["videos", f"{second} right", f"{second} wrong"],
            [
                [f"{first} right", f"{row['both']:,}", f"{row['first']:,}"],
                [f"{first} wrong", f"{row['second']:,}", f"{row['neither']:,}"],
            ],
        )
        yield (
            f"Top-1 {percent(row['top1'])} and {percent(row['second_top1'])} %, difference "
            f"{with_interval(row['difference'], row['difference_interval'], '+')} %; "
            f"p {probability(row['p'])} (McNemar's exact test, two-sided binomial).\n"
        )


def splits(report: Row) -> Lines:
    """Tabulate the mean over splits."""
    numbers = report["splits"]
    named = ", ".join(map(str, numbers))
    yield f"{describe(report['about'])}: mean and sample standard deviation (n - 1) over splits {named}.\n"
    header = ["top-1, %", *(f"split {split}" for split in numbers), "mean ± sd", "top-5", "mean class"]
    rows = []
    for row in report["systems"]:
        means = (
            f"{percent(row[name]['mean'])} ± {percent(row[name]['sd'])}" for name in ("top1", "top5", "mean_class")
        )
        rows.append([row["system"], *map(percent, row["top1"]["splits"]), *means])
    yield markdown(header, rows)
