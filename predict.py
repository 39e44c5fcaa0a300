"""Name the actions in videos, or before a camera. Everything but the weights comes from their checkpoints.

Examples:
    python predict.py video.mp4 --weights results/HMDB51/SFS_..._best.pth
    python predict.py video.mp4 --weights rgb.pth sfs.pth          # STS-Net: RGB + SFS by ActivNo
    python predict.py videos/ --weights rgb.pth sfs.pth --json answers.json --out annotated/ --timeline timelines/
    python predict.py 0 --weights rgb.pth sfs.pth --live_stride 8  # camera 0
"""

from argparse import Namespace

from engine import setup
from engine.command import cli
from workflows.predicting.compose import build_predictor, predict_files, predict_live
from workflows.predicting.inputs import find_inputs
from workflows.predicting.options import build_parser, check_options, complete
from workflows.predicting.timeline import Named, best


def main(opt: Namespace) -> list[Named]:
    """Print the likeliest classes; return those of the first video as (name, probability), best first."""
    opt = complete(opt)
    inputs = find_inputs([opt.video, *opt.more])
    check_options(opt, inputs)
    live = inputs[0].live
    predictor = build_predictor(opt, setup(0, opt.device), live)
    if live:
        predict_live(opt, predictor, inputs[0].path)
        return []
    first, *_ = predict_files(opt, predictor, inputs)
    return best(first.probabilities, predictor.names, opt.top_k)


def parse_args() -> Namespace:
    """Parse the options of this script."""
    return build_parser().parse_args()


if __name__ == "__main__":
    cli.run(main, parse_args)
