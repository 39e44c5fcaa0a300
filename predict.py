"""Name the actions in videos, or before a camera. Everything but the weights comes from their checkpoints.

Examples:
    python predict.py video.mp4 --weights results/HMDB51/SFS_..._best.pth
    python predict.py video.mp4 --weights rgb.pth sfs.pth          # STS-Net: RGB + SFS by ActivNo
    python predict.py videos/ --weights rgb.pth sfs.pth --json answers.json --out annotated/ --timeline timelines/
    python predict.py video.mp4 --weights sts.xml                  # a file of export.py, by OpenVINO
    python predict.py 0 --weights rgb.pth sfs.pth --live_stride 8  # camera 0
"""

from argparse import Namespace

from engine import setup
from engine.command import cli
from workflows.predicting.compose import Answers, LiveAnswers, predict_files, predict_live
from workflows.predicting.exported import device_for, engine_for
from workflows.predicting.inputs import find_inputs
from workflows.predicting.predict import PredictorSettings, build_predictor
from workflows.predicting.predict_options import build_parser, check_options
from workflows.predicting.timeline import Named


def main(opt: Namespace) -> list[Named]:
    """Print the likeliest classes; return those of the first video as (name, probability), best first."""
    words = [opt.video, *opt.more]
    inputs = find_inputs(words)
    answers = Answers(top_k=opt.top_k, json=opt.json, logits=opt.logits, out=opt.out, timeline=opt.timeline)
    live_answers = LiveAnswers(live_stride=opt.live_stride, seconds=opt.seconds, show=opt.show)
    check_options(opt.video, inputs, answers, live_answers, opt.window_stride)
    settings = PredictorSettings(
        fusion=opt.fusion,
        fusion_weights=opt.fusion_weights,
        frame_stride=opt.frame_stride,
        window_stride=opt.window_stride,
        batch_size=opt.batch_size,
        amp=opt.amp,
        compile_mode=opt.compile,
        group_width=opt.group_width,
        engine=opt.engine,
    )
    live, device = inputs[0].live, device_for(engine_for(opt.weights, opt.engine), opt.device)
    predictor = build_predictor(opt.weights, settings, device=setup(0, str(device)), live=live)
    if live:
        predict_live(predictor, inputs[0].path, live_answers, top_k=opt.top_k, as_record=bool(opt.json))
        return []
    first, *_ = predict_files(predictor, inputs, answers, window_stride=opt.window_stride, words=words)
    return first.top(opt.top_k)


def parse_args() -> Namespace:
    """Parse the options of this script."""
    return build_parser().parse_args()


if __name__ == "__main__":
    cli.run(main, parse_args)
