r"""Compare the features of a student and its teacher, layer by layer, on validation clips (linear CKA).

    python utils1/layer_similarity.py --student sfs.pth --teacher flow.pth --baseline rgb.pth --dataset HMDB51 \
        --frame_dir ... --annotation_path ... --out similarity

takes the options of train.py and STS_train.py; the streams that are read follow from the checkpoints. A baseline is a
network like the student that had no teacher: what it has in common with the teacher, distillation did not transfer.
"""

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by path; the packages are in the root
from datasets import build_loader, modality_of
from engine import setup
from engine.command import cli
from models.analysis.similarity import FEATURES
from opts import SINGLE, as_trained, build_parser, parse_with
from sts_common.json_text import as_json
from workflows.testing.inputs import load_input
from workflows.understanding.layer_similarity import check_clips, choose_clips, flow_read, read_networks, similarity
from workflows.understanding.similarity_report import as_table


def main(opt: Namespace) -> dict[str, Any]:
    """Print the table; return its values."""
    check_clips(opt.clips)
    stored = read_networks(opt.student, opt.teacher, opt.baseline)
    modality = modality_of(network.stream for network in stored.values())
    data = as_trained(Namespace(**vars(opt) | {"modality": modality}), stored["student"].state)
    device = setup(data.manual_seed, data.device)
    networks = {role: load_input(data, *network) for role, network in stored.items()}
    flow = flow_read(stored.values(), in_workers=bool(data.n_workers)) if data.flow_source == "online" else None
    whole = build_loader(data, "val", [network.view for network in networks.values()], flow)
    clips = choose_clips(whole, opt.clips, data.annotation_path)
    report = similarity(networks, clips, device=device, features=opt.features, out=opt.out)
    print(as_json(report, indent=2) if opt.json else as_table(report))  # noqa: T201 - the result
    return report


def parse_args(argv: Sequence[str] | None = None) -> Namespace:
    """Parse the options of this script, and those of test_single_stream.py."""
    parser = build_parser(SINGLE, __doc__, also=["flow_source"])
    parser.usage = "%(prog)s --student STUDENT --teacher TEACHER [options]"
    parser.set_defaults(modality="RGB_Flow")
    parser.conflict_handler = "resolve"  # its --teacher is another than STS_train.py's
    add = parser.add_argument_group("similarity").add_argument
    add("--student", required=True, help="checkpoint")
    add("--teacher", required=True, help="checkpoint")
    add("--baseline", help="checkpoint of a network that was trained without the teacher")
    add("--clips", type=int, default=256, help="at most; evenly spaced over the validation videos")
    add(
        "--features",
        default="pooled",
        choices=FEATURES,
        help="pooled: the mean of each channel; flattened: where and when as well",
    )
    add("--out", type=Path, help="folder for every layer against every other, as .csv and .png")
    add("--json", action="store_true", help="print JSON instead of a table")
    return parse_with(parser, argv)


if __name__ == "__main__":
    cli.run(main, parse_args)
