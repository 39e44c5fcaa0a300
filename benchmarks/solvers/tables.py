"""Tables of speed and accuracy of flow solvers."""

from statistics import mean, median

from benchmarks.common.report import Record, markdown, spread
from benchmarks.solvers.methods import REFERENCE

CLOSENESS = ("EPE all", "EPE visible", "px to cv2", "levels to cv2", "within 1")


def column(rows: list[dict[str, float]], key: str) -> list[float]:
    """Return a number of every pair."""
    return [row[key] for row in rows]


def timing(pairs: list[dict[str, float]], digits: int = 0) -> list[str]:
    """Return the median CPU time in milliseconds, and how many times as fast as OpenCV."""
    return [f"{1000 * median(column(pairs, 'cpu_s')):.{digits}f}", spread(column(pairs, "ratio"), 1)]


def closeness(pairs: list[dict[str, float]]) -> list[str]:
    """Return the columns of `CLOSENESS`, means over pairs; empty are those that need OpenCV's flow where it is not."""
    known = {key: mean(column(pairs, key)) for key in pairs[0]}
    lengths = (f"{known[key]:.3f}" if key in known else "" for key in ("epe", "epe_visible", "px", "levels"))
    return [*lengths, f"{100 * known['within_1']:.1f} %" if "within_1" in known else ""]


def flow_table(record: Record) -> str:
    """Tabulate speed and accuracy of the solvers on the CPU, after a line of their conditions; "" if there are none."""
    if not record["cpu"]:
        return ""
    header = ["one core", "ms per pair", f"times as fast as {REFERENCE}", *CLOSENESS]
    rows = []
    for name, entry in record["cpu"].items():
        pairs = entry["pairs"]
        rows.append([name, *timing(pairs, 1), *closeness(pairs)])
    where, (width, height) = record["environment"], record["size"]
    title = f"{where['cpu']}, OpenCV {where['opencv']}, torch {where['torch']}, {len(record['pairs'])} pairs"
    return f"{title} of {width}x{height}\n\n{markdown(header, rows)}"


def speed_table(record: Record) -> str:
    """Tabulate the end-point error by the speed of the fastest point: an average would be mostly of the largest."""
    if not record["cpu"]:
        return ""
    speeds = sorted({pair["speed"] for pair in record["pairs"]})
    rows = []
    for name, entry in record["cpu"].items():
        errors = [
            mean(
                row["epe"] for row, pair in zip(entry["pairs"], record["pairs"], strict=True) if pair["speed"] == speed
            )
            for speed in speeds
        ]
        rows.append([name, *(f"{error:.3f}" for error in errors)])
    return markdown(["EPE at a peak speed of", *(f"{speed:g} px" for speed in speeds)], rows)


def gpu_table(record: Record) -> str:
    """Tabulate pairs per second on the GPU by batch, and the accuracy of the flow."""
    if not record["gpu"]:
        return "No CUDA GPU here: nothing about GPUs was measured.\n"
    solvers = record["gpu"]["solvers"]
    batches = sorted({count for entry in solvers.values() for count in entry["pairs_per_s"]})
    rows = [
        [name, *(f"{entry['pairs_per_s'][count]:.0f}" for count in batches), *closeness(entry["pairs"])]
        for name, entry in solvers.items()
    ]
    return markdown([f"{record['environment']['gpu']}, pairs/s in batches of", *map(str, batches), *CLOSENESS], rows)


def scaling_line(record: Record) -> str:
    """Describe the gain of a second thread, and whether a second core was free."""
    if not record["scaling"]:
        return ""
    single, double = ([times[threads] for times in record["scaling"]] for threads in (1, 2))
    ratios = [a.wall / b.wall for a, b in zip(single, double, strict=True)]
    best = min(times.wall for times in single) / min(times.wall for times in double)
    return (
        f"Two threads of the native kernel are {median(ratios):.2f} times as fast as one by the clock, median of "
        f"{len(ratios)} rounds, {best:.2f} in the best; they spend "
        f"{100 * median(b.cpu / a.cpu - 1 for a, b in zip(single, double, strict=True)):+.0f} % CPU time and had "
        f"{median(times.cpu / times.wall for times in double):.2f} cores to themselves.\n"
    )


def truth_table(record: Record) -> str:
    """Tabulate for each solver and pair: pixels to OpenCV's flow, EPE, and the EPE relative to OpenCV's."""
    rows = []
    for name, entry in record["cpu"].items():
        cells = [f"{row['px']:.3f}; {row['epe']:.3f} ({100 * row['epe_change']:+.1f} %)" for row in entry["pairs"]]
        rows.append([name, *timing(entry["pairs"]), *cells])
    return markdown(["px to cv2; EPE", "ms per pair", "times as fast", *record["pairs"]], rows)


def video_table(record: Record) -> str:
    """Tabulate for each solver the distance to OpenCV's flow in pixels and levels: mean and worst pair."""
    rows = []
    for name, entry in record["cpu"].items():
        pairs = entry["pairs"]
        px, levels, within = (column(pairs, key) for key in ("px", "levels", "within_1"))
        cells = [f"{median(px):.3f}", f"{mean(px):.3f}", f"{max(px):.3f}", f"{mean(levels):.3f}", f"{max(levels):.3f}"]
        rows.append([name, *timing(pairs), *cells, f"{100 * mean(within):.1f} %"])
    header = ["px: median pair", "mean", "worst", "levels: mean", "worst", "within 1"]
    return markdown(["to cv2 tvl1", "ms per pair", "times as fast", *header], rows)
