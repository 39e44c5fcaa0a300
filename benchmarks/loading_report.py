"""Tables of loading costs."""

from statistics import median
from typing import Any

from benchmarks.tables import Record, markdown

ORIGINAL, FLOOR = "original", "floor"
TITLES = {
    ORIGINAL: "published loader, rebuilt",
    "native": "native",
    "python": "Python: OpenCV and torch",
    "fast": "native, --decode fast",
    "pack": "packed clips",
    "cache": "decoded, in memory",
    FLOOR: "libjpeg-turbo alone: whole images, no files",
}


def ratios(rows: Record, name: str, to: str) -> list[float]:
    """Return the time of `to` over that of `name`, round by round."""
    return [a / b for a, b in zip(rows[to]["cpu_s"], rows[name]["cpu_s"], strict=True)]


def spread(values: list[float]) -> str:
    """Return the median, and the smallest and largest."""
    return f"{median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


def speed_table(record: Record) -> str:
    """Tabulate CPU time, ratios and differing pixels of every form, a table for each subject."""
    text = []
    for subject, rows in record["subjects"].items():
        header = [subject, "CPU ms", "times as fast", "over mere decoding", "differing pixels", "mean", "largest"]
        lines = []
        for name, row in rows.items():
            over = f"{median(row_over_floor(rows, name)):.2f}" if FLOOR in rows else ""
            lines.append(
                [
                    TITLES[name],
                    f"{1000 * median(row['cpu_s']):.2f}",
                    spread(ratios(rows, name, ORIGINAL)),
                    over,
                    *pixels(row),
                ]
            )
        text.append(markdown(header, lines))
    if not text:
        return ""
    where = f"{record['environment']['cpu']}, one core, files in the system's memory, {record['rounds']} rounds\n\n"
    return where + "\n".join(text)


def row_over_floor(rows: Record, name: str) -> list[float]:
    """Return the row of a form's time over that of decoding alone."""
    return [1 / ratio for ratio in ratios(rows, name, FLOOR)]


def pixels(row: dict[str, Any]) -> list[str]:
    """Return the share of pixels that differ from the original's, mean and largest difference in levels of 255."""
    if "pixels" not in row:
        return [""] * 3
    found = row["pixels"]
    share = 100 * found["differing"] / found["compared"]
    mean = found["sum"] / found["compared"]
    return ["0" if not found["differing"] else f"{share:.3g} %", f"{mean:.2g}", str(found["max"])]


def disk_table(record: Record) -> str:
    """Tabulate kilobytes per video, and their share of the image files."""
    if not record.get("disk"):
        return ""
    files = record["disk"].get("python") or record["disk"]["native"]
    rows = [
        [TITLES[name], *(f"{size[s]:,.0f} ({size[s] / files[s]:.3f})" for s in ("rgb", "flow"))]
        for name, size in record["disk"].items()
        if name in ("python", "pack", "cache")
    ]
    rows[0][0] = "JPEG files"
    return markdown(["kB per video (of the files)", "RGB", "flow"], rows)


def workers_table(record: Record) -> str:
    """Tabulate clips per wall-clock second by kind of workers."""
    text = []
    for name, rates in record.get("workers", {}).items():
        base = next(iter(rates.values()))
        rows = [
            [kind, f"{median(rate):.0f}", spread([a / b for a, b in zip(rate, base, strict=True)])]
            for kind, rate in rates.items()
        ]
        text.append(markdown([f"{name}, by the clock", "clips/s", "times as fast"], rows))
    return "\n".join(text)


def listing_table(record: Record) -> str:
    """Tabulate the time to find the videos of a list."""
    if "list" not in record:
        return ""
    found = record["list"]
    rows = [[f"by {how}", f"{seconds:.2f}"] for how, seconds in found["seconds"].items()]
    return markdown([f"{found['videos']:,} videos of {found['frames']} frames", "seconds"], rows)
