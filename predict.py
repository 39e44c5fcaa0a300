"""Name the action in a video file. Everything but the weights comes from their checkpoints.

Examples:
    python predict.py video.mp4 --weights results/HMDB51/SFS_..._best.pth
    python predict.py video.mp4 --weights rgb.pth sfs.pth          # STS-Net: RGB + SFS by ActivNo
"""

from argparse import Namespace
from pathlib import Path

import torch

from datasets import FLOW, RGB, clip_starts, loop
from engine import checkpoint, cli, setup
from models import FUSIONS, fuse, load_stream
from utils1.video_streams import common_recipe, read_streams

STREAMS = {stream.name: stream for stream in (RGB, FLOW)}


def main(opt: Namespace) -> list[tuple[str, float]]:
    """Print the likeliest classes; returns them as (name, probability), best first."""
    device = setup(0, opt.device)
    states = [checkpoint.load(path) for path in opt.weights]
    networks = []
    for path, state in zip(opt.weights, states, strict=True):
        if not {"options", "class_names", "recipe", "stream"} <= state.keys():
            raise ValueError(f"{path}: does not say how to use it, as checkpoints of train.py and STS_train.py do")
        if state["class_names"] != states[0]["class_names"]:
            raise ValueError(f"{path}: its classes are not those of {opt.weights[0]}")
        stream = STREAMS[state["stream"]]
        networks.append(load_stream(Namespace(**state["options"]), stream, state, path).to(device).eval())
    recipe = common_recipe(opt.weights, states)
    video = read_streams(Path(opt.video), recipe, [network.stream for network in networks])
    length, frames = recipe["sample_duration"], min(len(x[0]) for x in video.values())
    logits = []
    with torch.inference_mode():
        for start in clip_starts(frames, length):
            numbers = [number - 1 for number in loop(start, frames, length)]
            batch = {name: x[None, :, numbers].to(device) for name, x in video.items()}  # (1, C, T, S, S)
            logits.append(torch.stack([network(batch).logits.float() for network in networks]))
    probabilities = fuse(torch.stack(logits).mean(0), opt.fusion)[0].softmax(0)
    best = probabilities.topk(min(opt.top_k, len(states[0]["class_names"])))
    result = [
        (states[0]["class_names"][i], p) for p, i in zip(best.values.tolist(), best.indices.tolist(), strict=True)
    ]
    for name, probability in result:
        print(f"{probability:.3f}  {name}")  # noqa: T201 - the result
    return result


def parse_args() -> Namespace:
    """Options of this script."""
    parser = cli.ArgumentParser(description="Name the action in a video file.")
    parser.add_argument("video", help="video file")
    parser.add_argument("--weights", nargs="+", required=True, help="checkpoints; several are fused")
    parser.add_argument("--fusion", default="activno", choices=FUSIONS, help="activation before streams are averaged")
    parser.add_argument("--top_k", default=5, type=int, help="classes to print")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    return parser.parse_args()


if __name__ == "__main__":
    cli.run(main, parse_args)
