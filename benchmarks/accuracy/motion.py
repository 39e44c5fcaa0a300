"""Quality of MotionNet's flow: how well its flow explains the next frame, and how far it is from TV-L1."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from datasets import FLOW, RGB, ClipOptions, make_loader, open_videos
from datasets.stores.provenance import FLOW_FILE, read_record
from flow.encoding import decode
from models import StreamNetwork
from sts_common.motionnet import MotionNet, MotionObjective
from sts_common.motionnet.network import resized
from workflows.testing.loading import load_checkpoint

STILL, BEFORE, AFTER, TVL1 = "no flow", "MotionNet before", "MotionNet", "TV-L1"


@torch.inference_mode()
def measure_motion(file: Path, frames: Path, labels: Path, *, dataset: str, split: int, seed: int) -> dict[str, Any]:
    """Measure flow on the middle clip of every test video, at the side that the network sees.

    Args:
        file: Checkpoint of a hidden two-stream network.
        frames: Folder of frames and of TV-L1 flow.
        labels: Of the data set.
        dataset: A key of `DATASETS`.
        split: 1, 2 or 3.
        seed: Of the random weights that are measured beside it.

    Returns:
        "photometric", the loss of grey levels summed over MotionNet's scales, and "px", the mean distance of the end
        points to those of TV-L1, in pixels of the network's input; each by whose flow it is.
    """
    model, objective = load_checkpoint(file), MotionObjective()
    trained = model.network.get_submodule("motion")
    assert isinstance(trained, MotionNet)
    torch.manual_seed(seed)
    width = model.network.origin["args"]["motion_width"]
    networks = {BEFORE: MotionNet(trained.frames, width).eval(), AFTER: trained}
    sums: dict[str, dict[str, float]] = {"photometric": {}, "px": {}}
    clips = 0
    for rgb, reference in pairs(model, frames, labels, dataset, split):
        clips += len(rgb)
        for name, flow in estimates(model, networks, rgb, reference).items():
            whole = resized(flow[-1].flatten(0, 1), tuple(reference.shape[-2:])).unflatten(0, reference.shape[:2])
            errors = {
                "photometric": objective(rgb / 255, flow)["photometric"],
                "px": (whole - reference).norm(dim=2).mean(),
            }
            for kind, error in errors.items():
                sums[kind][name] = sums[kind].get(name, 0.0) + len(rgb) * float(error)
    return {kind: {name: total / clips for name, total in totals.items()} for kind, totals in sums.items()}


def pairs(
    model: StreamNetwork, frames: Path, labels: Path, dataset: str, split: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield frames (N, 3, F, H, W) in grey levels, and their flow (N, F - 1, 2, H, W) in pixels of these.

    Raises:
        ValueError: If the folder does not state how its flow was made.
    """
    record = read_record(frames / FLOW_FILE)
    if not record.get("short_side"):
        raise ValueError(f"{frames / FLOW_FILE}: states no short_side; extract with --short_side")
    side, length = model.recipe["sample_size"], model.recipe["sample_duration"]
    videos = open_videos(labels, frames, dataset=dataset, split=split, subset="test", streams=[RGB, FLOW])
    cut = ClipOptions(length=length, size=side, streams=[RGB.name, FLOW.name])
    for batch in make_loader(videos, cut, batch_size=8, mode="val", n_workers=0):
        pixels = torch.from_numpy(decode(batch[FLOW.name].numpy(), record["bound"], record["quantisation"]))
        yield batch[RGB.name].float(), pixels[:, :, :-1].transpose(1, 2) * (side / record["short_side"])


def estimates(
    model: StreamNetwork, networks: Mapping[str, MotionNet], rgb: Tensor, reference: Tensor
) -> dict[str, list[Tensor]]:
    """Return flow at MotionNet's scales, coarse to fine, by whose it is: that of the networks, none, and TV-L1's."""
    clips = (rgb - model.mean) / model.std
    flows = {name: network(clips) for name, network in networks.items()}
    sizes = [tuple(flow.shape[-2:]) for flow in flows[AFTER]]
    known = [resized(reference.flatten(0, 1), size).unflatten(0, reference.shape[:2]) for size in sizes]
    return {STILL: [torch.zeros_like(flow) for flow in known], **flows, TVL1: known}
