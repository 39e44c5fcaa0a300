"""Name the action in a video file. Everything but the weights comes from their checkpoints.

Examples:
    python predict.py video.mp4 --weights results/HMDB51/SFS_..._best.pth
    python predict.py video.mp4 --weights rgb.pth sfs.pth          # STS-Net: RGB + SFS by ActivNo
"""

from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from datasets import FLOW, RGB, clip_starts, eval_transform, loop, read_video
from engine import checkpoint, cli, setup
from flow import build_flow, encode
from models import FUSIONS, fuse, load_stream

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
    recipe = states[0]["recipe"]
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


def read_streams(path: Path, recipe: dict, wanted: Sequence[str]) -> dict[str, Tensor]:
    """Decode a video as its recipe says, computing flow where it is wanted.

    Returns:
        uint8 (C, T, S, S) per stream; a video of N frames has N - 1 flows.
    """
    crop = eval_transform(recipe["sample_size"])
    pieces: dict[str, list[Tensor]] = {name: [] for name in wanted}
    for images in frames_of(path, recipe["provenance"], FLOW.name in wanted):
        clip = {
            name: torch.from_numpy(image).permute(2, 0, 1)[None] for name, image in images.items() if name in wanted
        }
        for name, frame in crop(clip, np.random.default_rng(0)).items():  # frame by frame: memory for the crop alone
            pieces[name].append(frame)
    return {name: torch.cat(frames, 1) for name, frames in pieces.items()}


def frames_of(path: Path, provenance: dict, with_flow: bool) -> Iterator[dict[str, np.ndarray]]:
    """Frames (H, W, 3) and, from the second one on, the flow (H, W, 2) that leads to them, both uint8."""
    flow = build_flow(provenance.get("algorithm", "tvl1"), **provenance.get("parameters", {})) if with_flow else None
    previous = None
    for frame in read_video(path, provenance.get("fps", 25.0), provenance.get("short_side", 256)):
        images = {"rgb": frame}
        if flow is not None:
            grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
            if previous is not None:
                field = flow(previous, grey)
                images["flow"] = encode(
                    field, provenance.get("bound", 20.0), provenance.get("quantisation", "truncate")
                )
            previous = grey
        yield images


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
