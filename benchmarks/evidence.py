"""Does an RGB student learn motion? Ablations and controls on one data set, means over seeds, paired tests over films.

Trains the networks of benchmarks/accuracy/evidence_rows.py by the commands' own functions, tests them on the whole test
list, and fuses their scores. What is finished is kept, in --out row by row and in --folder network by network: the same
command goes on after an interruption, and with further --rows, --splits and --seeds. `--test_subset val` judges by
held-out training videos instead, by which settings (--training) are chosen. A network of J-HMDB (650 training videos of
128 pixels) takes one to three minutes of a core with AVX512-BF16 and --training="--amp bf16".

    OMP_NUM_THREADS=1 python benchmarks/evidence.py --frame_dir dataset/JHMDB --annotation_path dataset/JHMDB_labels
"""

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by path; the packages are in the root

from benchmarks.accuracy.comparison import compare, comparison_parser
from benchmarks.accuracy.evidence_rows import ACTIVATIONS, CONTROL, FITTED, FUSIONS, GOAL, ROWS, SFS, STUDENTS
from benchmarks.accuracy.paired import compare_systems
from benchmarks.accuracy.tables import by_test, draw_accuracies, pairs_table, table
from benchmarks.common.report import Record, publish
from engine.command import cli
from engine.evaluation.statistics import gap_closed

# System -> what it is compared with: the claim first, then every fusion of a student and every student's controls.
PAIRS = [
    (f"RGB + {SFS}", CONTROL),
    *((f"RGB + {SFS}", f"RGB + {name}") for name in STUDENTS if name != SFS),
    (SFS, "RGB"),
    *((SFS, name) for name in STUDENTS if name != SFS),
    (SFS, "Flow"),
    (f"RGB + {SFS}", GOAL),
    (f"RGB + {SFS}, {FITTED}", f"{CONTROL}, {FITTED}"),
    (f"RGB + {SFS}, {FITTED}", SFS),
    *((f"RGB + {SFS}, {activation}", f"{CONTROL}, {activation}") for activation in ACTIVATIONS),
]


def parse_args(argv: Sequence[str] | None = None) -> Namespace:
    """Parse the options of this script."""
    return comparison_parser("evidence", __doc__, seeds=(1, 2, 3)).parse_args(argv)


def main(opt: Namespace) -> Record:
    """Train and test what is missing, row by row, fuse, compare, print the tables, draw the picture, write the JSON."""
    record = compare(opt, ROWS, FUSIONS)
    record["pairs"] = compare_systems(opt, record, PAIRS)
    systems = [*ROWS, *(name for name, fusion in FUSIONS.items() if fusion.activation == "activno")]
    draw_accuracies(record, opt.out.with_suffix(".png"), systems, (CONTROL, f"RGB + {SFS}", GOAL))
    return publish(opt.out, record, *filter(None, (table(record), pairs_table(record["pairs"]), gap(record))))


def gap(record: Record) -> str:
    """Describe which share of the gap between RGB and RGB + Flow is closed, on the tests of all; "" without such."""
    tests, lines = by_test(record["rows"], "top1"), []
    for system in (f"RGB + {SFS}", CONTROL, f"RGB + {SFS}, {FITTED}", f"{CONTROL}, {FITTED}"):
        goal = f"{GOAL}, {FITTED}" if FITTED in system else GOAL
        rows = [tests.get(name, {}) for name in ("RGB", goal, system)]
        common = set.intersection(*map(set, rows))
        if common:
            low, high, accuracy = (mean(row[test] for test in common) for row in rows)
            share = gap_closed(low, high, accuracy)
            record.setdefault("gap_closed", {})[system] = share
            percent = "there is none" if share is None else f"{share:.0%}"
            lines.append(f"{system}, share of the gap between RGB and {goal} that is closed: {percent}.")
    return "\n".join(lines)


if __name__ == "__main__":
    cli.run(main, parse_args)
