"""Costs of a teacher's outputs: to compute them, and to read them from a cache on disk.

Each network is given clips of noise; its passes, and reading what a cache has kept of it, the vector and logits alone
or all maps as well, take turns. Reading is from files that the system has in memory; a slow disk is slower.

    OMP_NUM_THREADS=1 python benchmarks/teacher_cache.py
"""

import sys
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by path; the packages are in the root

from benchmarks.common.report import Record, build_parser, check_least, choose, environment, markdown, publish, spread
from datasets import RGB
from engine.command import cli
from models import StreamNetwork, create_model
from models.inference.cached_outputs import CachedOutputs
from sts_common.timing import alternated

# Name of a teacher -> the network, its arguments, and frames and side of its clips.
TEACHERS: dict[str, tuple[str, dict[str, Any], tuple[int, int]]] = {
    "3D ResNet-10 x 0.25, 8 x 64": ("resnet", {"depth": 10, "width": 0.25}, (8, 64)),
    "ResNet-18 of images, 8 x 112": ("resnet2d", {"depth": 18}, (8, 112)),
    "ResNet-18 of images, 8 x 224": ("resnet2d", {"depth": 18}, (8, 224)),
    "3D ResNet-18, 16 x 112": ("resnet", {"depth": 18}, (16, 112)),
}
PASS, VECTOR, MAPS = "pass", "vector and logits", "all maps"


def parse_args(argv: Sequence[str] | None = None) -> Namespace:
    """Parse the options of this script."""
    parser = build_parser("teacher_cache", __doc__, rounds=5)
    parser.add_argument("--batch_size", default=4, type=int, help="clips of a pass")
    parser.add_argument("--only", default=[], nargs="*", metavar="TEXT", help="teachers whose names hold one of these")
    return parser.parse_args(argv)


def main(opt: Namespace) -> Record:
    """Measure each teacher, print the table, write the JSON."""
    check_least(opt, rounds=1, batch_size=1)
    names = choose(TEACHERS, opt.only, "no teacher's name")
    rows = [{"teacher": name} | measure(name, opt.batch_size, opt.rounds) for name in names]
    record: Record = {"environment": environment(), "batch_size": opt.batch_size, "rounds": opt.rounds, "rows": rows}
    return publish(opt.out, record, table(record))


@torch.inference_mode()
def measure(name: str, clips: int, rounds: int) -> dict[str, Any]:
    """Measure CPU seconds of a clip in every round, by `PASS`, `VECTOR` and `MAPS`, and the bytes that are cached."""
    model, arguments, (frames, side) = TEACHERS[name]
    torch.manual_seed(1)
    teacher = StreamNetwork(create_model(model, 3, 1000, **arguments), RGB).eval()
    batch = {"rgb": torch.randint(0, 256, (clips, 3, frames, side, side), dtype=torch.uint8)}
    every = list(teacher(batch).features)
    with TemporaryDirectory() as folder:
        caches = {
            way: CachedOutputs(Path(folder, str(number)), teacher, features)
            for number, (way, features) in enumerate({VECTOR: ["avgpool"], MAPS: every}.items())
        }
        calls: dict[str, Callable[[], Any]] = {PASS: partial(teacher, batch)}
        calls |= {way: partial(cache, teacher, batch) for way, cache in caches.items()}
        for call in calls.values():
            call()
        times = alternated(calls, rounds)
        sizes = {way: size_of(cache.folder) // clips for way, cache in caches.items()}
    return {"seconds": {way: [seconds[way].cpu / clips for seconds in times] for way in calls}, "bytes": sizes}


def size_of(folder: Path) -> int:
    """Return the bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def table(record: Mapping[str, Any]) -> str:
    """Tabulate each teacher: ms of CPU time of a clip for a pass and a read, how many times as fast, what is kept."""
    heads = ["teacher", "pass, ms", *(f"{way}, {what}" for way in (VECTOR, MAPS) for what in ("ms", "times", "kB"))]
    lines = []
    for row in record["rows"]:
        seconds = row["seconds"]
        line = [row["teacher"], f"{1000 * median(seconds[PASS]):.1f}"]
        for way in (VECTOR, MAPS):
            faster = [a / b for a, b in zip(seconds[PASS], seconds[way], strict=True)]
            line += [f"{1000 * median(seconds[way]):.2f}", spread(faster, 1), f"{row['bytes'][way] / 1000:.0f}"]
        lines.append(line)
    where = f"{record['environment']['cpu']}, torch {record['environment']['torch']}, {record['rounds']} rounds"
    return f"{where}\n\n{markdown(heads, lines)}"


if __name__ == "__main__":
    cli.run(main, parse_args)
