"""Options of a run: its files, device and number format; and those that are refused."""

import argparse

from engine import AMP
from engine.command.cli import RefusedOption
from models import COMPILE

from .option import TESTING, TRAINING, OptionTable

REFUSED = {
    "--training": "train.py and STS_train.py train, test_*.py test",
    "--SFS": "STS_train.py always distils; choose the losses with --distill",
    "--MARS": "STS_train.py always distils; --distill mse is MARS",
    "--random_seed": "use --manual_seed",
}


def add_run_options(table: OptionTable) -> None:
    """Add options of the run: its files, device and number format."""
    add = table.group("run", "machine")
    add("--config", help="YAML file of options; the command line overrides it")
    add("--result_path", default="results", help="results go to <result_path>/<dataset>/")
    add(
        "--run_name",
        role="run",
        help="what the names of this run's files begin with, in place of its main options; a test of one checkpoint "
        "takes its run's",
    )
    add("--log", default=1, choices=(0, 1), help="write logs and result files")


def add_device_options(table: OptionTable) -> None:
    """Add options of the device and the number format, and the refused ones."""
    add = table.group("device", "machine")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    add(
        "--amp",
        role="run",
        free=True,
        default="auto",
        choices=AMP,
        help="number format; auto: bf16 on GPUs that have it, else off, which is float32; tf32: of GPUs, quicker",
    )
    add(
        "--compile",
        role="run",
        free=True,
        nargs="?",
        const="default",
        default="off",
        choices=COMPILE,
        help="takes minutes, then is faster",
    )
    add("--deterministic", role="run", free=True, action="store_true", help="GPUs: the same bits in every run; slower")
    add("--group_width", scripts=TESTING, default=1, help="join groups of convolutions to this many channels")
    add("--sync_bn", role="run", scripts=TRAINING, action="store_true", help="SyncBN: batch statistics over all GPUs")
    add("--profile", scripts=TRAINING, default=0, metavar="N", help="trace N steps, after 10, into the run's folder")
    add(
        "--resume_anyway",
        scripts=TRAINING,
        action="store_true",
        help="resume with other data, network or seed options than the run had",
    )
    add("--debug", action="store_true", help="show tracebacks")
    for option, reason in REFUSED.items():
        add(
            option,
            action=RefusedOption,
            const=f"has no effect: {reason}",
            nargs="?",
            default=argparse.SUPPRESS,
            help=argparse.SUPPRESS,
        )
