"""Measure the clips per second that this machine loads with your options and with others, and name the bottleneck.

    python utils1/bench_loader.py --dataset UCF101 --frame_dir ... --annotation_path ... --modality RGB

takes the options of train.py. Nothing is computed on a GPU.
"""

import sys
from argparse import Namespace
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by path; the packages are in the root
from datasets import ClipDataset, ClipLoader, VideoDataset, build_dataset
from engine.command import cli
from opts import TRAIN, build_parser, parse_with
from sts_common.json_text import as_json
from workflows.measuring.loading import as_text, measure_loading


def main(opt: Namespace) -> dict[str, Any]:
    """Print the report; return it."""

    @cache
    def dataset(decode: str, decoder: str) -> ClipDataset | VideoDataset:
        return build_dataset(Namespace(**vars(opt) | {"decode": decode, "decoder": decoder}), "train")

    def loader(setting: dict[str, Any]) -> ClipLoader:
        return ClipLoader(
            dataset(setting["decode"], setting["decoder"]),
            batch_size=opt.batch_size,
            train=True,
            n_workers=setting["n_workers"],
            loader=setting["loader"],
            seed=opt.manual_seed,
            max_bad=opt.max_bad,
        )

    given = {"loader": opt.loader, "n_workers": opt.n_workers, "decoder": opt.decoder, "decode": opt.decode}
    report = measure_loading(loader, given, seconds=opt.seconds, source=opt.frame_dir)
    print(as_json(report, indent=2) if opt.json else as_text(report))  # noqa: T201 - the result
    return report


def parse_args(argv: Sequence[str] | None = None) -> Namespace:
    """Parse the options of this script, and those of training."""
    parser = build_parser(TRAIN, __doc__)
    parser.usage = "%(prog)s --dataset DATASET --frame_dir FRAME_DIR [options]"
    add = parser.add_argument_group("measurement").add_argument
    add("--seconds", type=float, default=4.0, help="for each setting, beside its start")
    add("--json", action="store_true", help="print JSON instead of a table")
    return parse_with(parser, argv)


if __name__ == "__main__":
    cli.run(main, parse_args)
