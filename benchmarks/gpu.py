"""Everything of this project that only a GPU can tell, in one command of eight minutes.

Stages run in the order of their worth, each with a share of the time. What a stage finds is in OUT/gpu.json at once:
whatever ends the command keeps the rest. `--dry` runs the same code on a CPU, tiny, to see that it works.

    python benchmarks/gpu.py --minutes 8 --out results/benchmarks/gpu
    python benchmarks/gpu.py --dry --out results/benchmarks/gpu_dry
"""

import logging
import os
import sys
import threading
import time
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # torch looks once, before its first product

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by path; the packages are in the root

from benchmarks.common.report import Record
from benchmarks.gpu_stages.convolutions import measure_convolutions
from benchmarks.gpu_stages.machine import measure_ceilings, run_tests
from benchmarks.gpu_stages.networks import measure_compiled, measure_determinism, measure_inference, measure_training
from benchmarks.gpu_stages.session import Session
from benchmarks.gpu_stages.training_runs import time_online_flow, train_in_processes
from benchmarks.gpu_stages.tvl1 import measure_tvl1
from engine.command import cli
from flow.tvl1 import native

STAGES = {  # seconds at most, in the order of their worth
    "machine": (25, measure_ceilings),
    "tests": (135, run_tests),
    "tvl1": (60, measure_tvl1),
    "convolutions": (60, measure_convolutions),
    "training": (100, measure_training),
    "inference": (40, measure_inference),
    "determinism": (35, measure_determinism),
    "processes": (60, train_in_processes),
    "online_flow": (75, time_online_flow),
    "compiled": (170, measure_compiled),
}

log = logging.getLogger(__name__)


def parse_args(argv: Sequence[str] | None = None) -> Namespace:
    """Parse the options of this script."""
    parser = cli.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--out", type=Path, default=Path("results/benchmarks/gpu"), help="folder of gpu.json and of the tests' log")
    add("--minutes", type=float, default=8, help="after which it ends")
    add("--only", nargs="+", choices=STAGES, default=[*STAGES], help="stages")
    add("--dry", action="store_true", help="tiny, to try the code on a CPU")
    return parser.parse_args(argv)


def main(opt: Namespace) -> Record:
    """Run the stages, and return their record.

    Raises:
        ValueError: If there is no GPU.
    """
    if opt.minutes <= 0:
        raise ValueError(f"--minutes {opt.minutes:g} is not above 0")
    gpu = torch.cuda.is_available()
    if not gpu and not opt.dry:
        raise ValueError("no GPU that this torch can use; --dry tries the code on a CPU")
    opt.out.mkdir(parents=True, exist_ok=True)
    threading.Thread(target=native.missing, daemon=True).start()  # compiles while the GPU is looked at
    with TemporaryDirectory() as work:
        end = time.monotonic() + 60 * opt.minutes
        session = Session(opt.out.resolve(), Path(work), torch.device("cuda" if gpu else "cpu"), end, opt.dry)
        for name in (name for name in STAGES if name in opt.only):
            session.run(name, *STAGES[name])
    log.info("all in %s", opt.out / "gpu.json")
    return session.record


if __name__ == "__main__":
    cli.run(main, parse_args)
