"""Does an RGB student learn motion? Ablations and controls on one data set, means over seeds, paired tests over films.

Trains the networks of benchmarks/accuracy/evidence_rows.py by the commands' own functions, tests them on the whole test
list, and fuses their scores. What is finished is kept in --out, row by row: the same command goes on after an
interruption, and with further --splits and --seeds. A network of J-HMDB (650 training videos of 128 pixels) takes two
to six minutes of a core with AVX512-BF16 and --training="--amp bf16".

    OMP_NUM_THREADS=1 python benchmarks/evidence.py --frame_dir dataset/JHMDB --annotation_path dataset/JHMDB_labels
"""

import sys
from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by path; the packages are in the root

from benchmarks.accuracy.comparison import compare, comparison_parser
from benchmarks.accuracy.evidence_rows import ACTIVATIONS, CONTROL, FUSIONS, GOAL, ROWS, SFS, STUDENTS
from benchmarks.accuracy.paired import Hits, compare_pairs, gap_closed
from benchmarks.accuracy.pictures import draw_accuracies
from benchmarks.accuracy.tables import table
from benchmarks.common.report import Record, markdown, publish
from datasets.corpora import list_dataset
from engine.command import cli

# System -> what it is compared with: the claim first, then every fusion of a student and every student's controls.
PAIRS = [
    (f"RGB + {SFS}", CONTROL),
    *((f"RGB + {SFS}", f"RGB + {name}") for name in STUDENTS if name != SFS),
    (SFS, "RGB"),
    *((SFS, name) for name in STUDENTS if name != SFS),
    (SFS, "Flow"),
    (f"RGB + {SFS}", GOAL),
    *((f"RGB + {SFS}, {activation}", f"{CONTROL}, {activation}") for activation in ACTIVATIONS),
]


def parse_args(argv: Sequence[str] | None = None) -> Namespace:
    """Parse the options of this script."""
    return comparison_parser("evidence", __doc__, seeds=(1, 2, 3)).parse_args(argv)


def main(opt: Namespace) -> Record:
    """Train and test what is missing, row by row, fuse, compare, print the tables, draw the picture, write the JSON."""
    record = compare(opt, ROWS, FUSIONS)
    record["pairs"] = list(paired(opt, record))
    draw_accuracies(record, opt.out.with_suffix(".png"), (CONTROL, f"RGB + {SFS}", GOAL))
    return publish(opt.out, record, *filter(None, (table(record), pairs_table(record["pairs"]), gap(record))))


def paired(opt: Namespace, record: Record) -> Iterable[dict[str, Any]]:
    """Compare the systems of `PAIRS` on the splits and seeds that both have."""
    films = {str(split): films_of(opt, int(split)) for split in record["data"]["videos"]}
    tests: dict[str, dict[tuple[int, int], Hits]] = {}
    for row in record["rows"]:
        if "right" in row:
            right = np.array(list(row["right"])) == "1"
            tests.setdefault(row["name"], {})[row["split"], row["seed"]] = Hits(right, films[str(row["split"])])
    for first, second in PAIRS:
        if common := sorted(tests.get(first, {}).keys() & tests.get(second, {}).keys()):
            pairs = [(tests[first][test], tests[second][test]) for test in common]
            yield {"first": first, "second": second, "tests": len(common)} | compare_pairs(pairs)


def films_of(opt: Namespace, split: int) -> list[str]:
    """Return the source of each test video, in the order of their names."""
    entries = list_dataset(opt.dataset, opt.annotation_path, split, "test").entries
    return [films for _, films in sorted((entry.path, entry.group) for entry in entries)]


def pairs_table(pairs: Sequence[Mapping[str, Any]]) -> str:
    """Tabulate the comparisons; empty if there are none."""
    heads = ["system", "against", "points", "95 % interval over films", "McNemar's p of each test"]
    cells = [
        [
            pair["first"],
            pair["second"],
            f"{pair['difference']:+.1f}",
            "{:+.1f} to {:+.1f}".format(*pair["interval"]),
            ", ".join(f"{p:.2g}" for p in pair["mcnemar"]),
        ]
        for pair in pairs
    ]
    return markdown(heads, cells) if cells else ""


def gap(record: Record) -> str:
    """Say which share of the gap between RGB and RGB + Flow is closed, on the tests of all; empty without such."""
    tests, lines = tests_of(record), []
    for system in (f"RGB + {SFS}", CONTROL):
        rows = [tests.get(name, {}) for name in ("RGB", GOAL, system)]
        common = set.intersection(*map(set, rows))
        if common:
            low, high, accuracy = (mean(row[test] for test in common) for row in rows)
            share = gap_closed(low, high, accuracy)
            record.setdefault("gap_closed", {})[system] = share
            said = "there is none" if share is None else f"{share:.0%}"
            lines.append(f"{system}, share of the gap between RGB and {GOAL} that is closed: {said}.")
    return "\n".join(lines)


def tests_of(record: Record) -> dict[str, dict[tuple[int, int], float]]:
    """Return top-1 of each system by split and seed."""
    tests: dict[str, dict[tuple[int, int], float]] = {}
    for row in record["rows"]:
        if "top1" in row:
            tests.setdefault(row["name"], {})[row["split"], row["seed"]] = row["top1"]
    return tests


if __name__ == "__main__":
    cli.run(main, parse_args)
