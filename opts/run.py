"""Options of a run: its files, device and number format; and those that are refused."""

import argparse
from typing import Any

from engine import AMP
from engine.command.cli import ArgumentParser
from models import COMPILE

REFUSED = {
    "--training": "train.py and STS_train.py train, test_*.py test",
    "--SFS": "STS_train.py always distils; choose the losses with --distill",
    "--MARS": "STS_train.py always distils; --distill mse is MARS",
    "--random_seed": "use --manual_seed",
}


class RefusedOption(argparse.Action):
    """An option of the published scripts that had no effect there, and would mislead here."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: Any, values: Any, option: str | None = None) -> None:
        parser.error(f"{option} has no effect: {REFUSED[str(option)]}")


def add_run_options(parser: ArgumentParser) -> None:
    """Add options of the run: its files, device and number format."""
    add = parser.add_argument_group("run").add_argument
    add("--config", help="YAML file of options; the command line overrides it")
    add("--result_path", default="results", help="results go to <result_path>/<dataset>/")
    add(
        "--run_name",
        help="what the names of this run's files begin with, in place of its main options; a test of one checkpoint "
        "takes its run's",
    )
    add("--log", default=1, type=int, choices=(0, 1), help="write logs and result files")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    add("--amp", default="auto", choices=AMP, help="mixed precision; auto: bf16 on GPUs that have it, else off")
    add(
        "--compile",
        nargs="?",
        const="default",
        default="off",
        choices=COMPILE,
        help="takes minutes, then is faster",
    )
    add("--deterministic", action="store_true", help="GPUs: the same bits in every run; slower")
    add("--group_width", default=1, type=int, help="tests: join groups of convolutions to this many channels")
    add("--sync_bn", action="store_true", help="SyncBN: batch statistics over all GPUs")
    add("--profile", default=0, type=int, metavar="N", help="training: trace N steps, after 10, into the run's folder")
    add("--resume_anyway", action="store_true", help="resume with other data, network or seed options than the run had")
    add("--debug", action="store_true", help="show tracebacks")
    for option, reason in REFUSED.items():
        add(option, action=RefusedOption, nargs="?", default=argparse.SUPPRESS, help=f"refused: {reason}")
