"""Costs of networks: parameters, multiply-adds, activations, memory, and clips per second on this machine.

python utils1/model_info.py resnext,depth=101
python utils1/model_info.py resnet2p1d,depth=18 torchvision:s3d --frames 16 --measure float32 bf16 int8
python utils1/model_info.py i3d --modality Flow --n_classes 51 --format md
python utils1/model_info.py --zoo docs/model_zoo.md --measure float32
"""

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by path; the packages are in the root
from datasets import MODALITIES
from engine.command import cli
from sts_common.json_text import as_json
from workflows.measuring.model_info import FORMATS, as_markdown, as_text, model_info
from workflows.measuring.model_zoo import write_zoo

FORMS = {"text": as_text, "md": as_markdown, "json": lambda rows: as_json(rows, indent=2)}
ONE_STREAM = [name for name, streams in MODALITIES.items() if len(streams) == 1]


def main(opt: Namespace) -> list[dict[str, Any]]:
    """Print the table, or write the page of all networks; return the rows."""
    if opt.zoo:
        return write_zoo(Path(opt.zoo), opt.measure, opt.seconds)
    if not opt.networks:
        raise ValueError("no network: name one like resnext,depth=101, or write the page of all with --zoo FILE")
    (stream,) = MODALITIES[opt.modality]
    given = {"frames": opt.frames, "size": opt.size, "measure": opt.measure, "seconds": opt.seconds}
    rows = [model_info(words, stream=stream.name, num_classes=opt.n_classes, **given) for words in opt.networks]
    print(FORMS[opt.format](rows))  # noqa: T201 - the result
    return rows


def parse_args(argv: Sequence[str] | None = None) -> Namespace:
    """Parse the options of this script."""
    parser = cli.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("networks", nargs="*", metavar="NAME,KEY=VALUE", help="--model, and its arguments, such as resnet,depth=18")
    add("--modality", default="RGB", choices=ONE_STREAM, help="stream that they read")
    add("--n_classes", type=int, default=400, help="of their classifiers")
    add("--frames", type=int, help="of a clip; else as many as each network wants to see")
    add("--size", type=int, help="side of the frames; likewise")
    add("--measure", nargs="*", default=[], choices=FORMATS, help="measure clips per second in these number formats")
    add("--seconds", type=float, default=2.0, help="of each measurement")
    add("--format", default="text", choices=FORMS, help="of the table")
    add("--zoo", default="", metavar="FILE", help="write the page of all networks, with speeds if --measure says so")
    return parser.parse_args(argv)


if __name__ == "__main__":
    cli.run(main, parse_args)
