"""Tables of loading costs."""

from statistics import median
from typing import Any

from benchmarks.common.report import Record, markdown, ratios, spread

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


def speed_table(record: Record) -> str:
    """Tabulate CPU time, ratios and differing pixels of every form, a table for each subject."""
    text = []
    for subject, rows in record["subjects"].items():
        header = [subject, "CPU ms", "times as fast", "over mere decoding", "differing pixels", "mean", "largest"]
        lines = []
        for name, row in rows.items():
            seconds = row["cpu_s"]
            over = f"{median(ratios(seconds, rows[FLOOR]['cpu_s'])):.2f}" if FLOOR in rows else ""
            times = spread(ratios(rows[ORIGINAL]["cpu_s"], seconds))
            lines.append([TITLES[name], f"{1000 * median(seconds):.2f}", times, over, *pixels(row)])
        text.append(markdown(header, lines))
    if not text:
        return ""
    where = f"{record['environment']['cpu']}, one core, files in the system's memory, {record['rounds']} rounds\n\n"
    return where + "\n".join(text)


def pixels(row: dict[str, Any]) -> list[str]:
    """Return the share of pixels that differ from the original's, mean and largest difference in levels of 255."""
    if "pixels" not in row:
        return [""] * 3
    counts = row["pixels"]
    share = 100 * counts["differing"] / counts["compared"]
    mean = counts["sum"] / counts["compared"]
    return ["0" if not counts["differing"] else f"{share:.3g} %", f"{mean:.2g}", str(counts["max"])]


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
        rows = [[kind, f"{median(rate):.0f}", spread(ratios(rate, base))] for kind, rate in rates.items()]
        text.append(markdown([f"{name}, by the clock", "clips/s", "times as fast"], rows))
    return "\n".join(text)


def listing_table(record: Record) -> str:
    """Tabulate the time to find the videos of a list."""
    if "list" not in record:
        return ""
    listing = record["list"]
    rows = [[f"by {how}", f"{seconds:.2f}"] for how, seconds in listing["seconds"].items()]
    return markdown([f"{listing['videos']:,} videos of {listing['frames']} frames", "seconds"], rows)
