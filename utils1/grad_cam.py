"""Show which parts of a video networks look at: Grad-CAM as pictures and as a film.

    python utils1/grad_cam.py video.mp4 --weights sfs.pth --out cam
    python utils1/grad_cam.py video.mp4 --weights rgb.pth sfs.pth flow.pth --target cartwheel

writes cam/clip_0001.png and so on, a strip for each clip; cam/video.mp4, the whole video; and cam/evidence.csv. Several
checkpoints are side by side, and all show evidence for one class: by default the one that they predict together.
Everything else is read from the checkpoints.
"""

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run by path; the packages are in the root
from engine import setup
from engine.command import cli
from models.analysis.gradcam import AUTO
from workflows.understanding.cam_tracks import Track
from workflows.understanding.grad_cam import draw_grad_cam


def main(opt: Namespace) -> list[Track]:
    """Write the pictures; return the heat of each network."""
    _, tracks, target, class_names = draw_grad_cam(
        opt.video,
        opt.weights,
        opt.out,
        names=opt.names,
        target=opt.target,
        layer=opt.layer,
        step=opt.step,
        strips=opt.strips,
        device=setup(0, opt.device),
    )
    for track in tracks:
        likely, probability = class_names[int(track.logits.argmax())], float(track.logits.softmax(0)[target])
        print(f"{track.name} at {track.layer}: {class_names[target]} {probability:.3f}, most likely {likely}")  # noqa: T201
    return tracks


def parse_args(argv: Sequence[str] | None = None) -> Namespace:
    """Parse the options of this script."""
    parser = cli.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("video", type=Path, help="video file, or folder of the frames of one video")
    parser.add_argument("--weights", nargs="+", required=True, help="checkpoints, side by side")
    parser.add_argument("--names", nargs="+", help="of the networks; else RGB, Flow, and SFS for a distilled one")
    parser.add_argument("--target", metavar="CLASS", help="class to look for; default: the one they predict together")
    parser.add_argument("--layer", default=AUTO, help="a stage; auto: the deepest with two steps in time")
    parser.add_argument(
        "--step", type=int, help="frames from clip to clip, fewer for finer curves; default: no overlap"
    )
    parser.add_argument("--strips", type=int, default=12, help="clips that are drawn, evenly spaced; 0: all of them")
    parser.add_argument("--out", type=Path, help="folder to write to; default: <video>_cam in this folder")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    return parser.parse_args(argv)


if __name__ == "__main__":
    cli.run(main, parse_args)
