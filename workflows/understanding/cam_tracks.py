"""Grad-CAM over a whole video: heat of its clips, merged frame by frame."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from datasets import loop
from datasets.clips.sampling import last_start, segment_clips
from models import StreamNetwork
from models.analysis.gradcam import evidence, stretch

BATCH = 4  # clips whose activations are kept at a time


class Clip(NamedTuple):
    """A clip of a video, in frames counted from 0."""

    seen: list[int]  # frames that a network is shown
    covered: list[int]  # frames that it stands for: also those between the shown ones


@dataclass(frozen=True)
class Track:
    """Grad-CAM of a video of F frames, from W clips."""

    name: str
    view: str  # what it reads
    layer: str  # where the maps are from
    # Evidence by frame and place, float32 (F, h, w) in [0, 1]; 1 is the greatest of the video.
    heat: NDArray[np.float32]
    # Evidence by frame, its mean over the picture, float32 (F,) in [0, 1]; 1 is the greatest of the video.
    curve: NDArray[np.float32]
    probability: NDArray[np.float32]  # of the class, by frame the mean of its clips, float32 (F,)
    logits: Tensor  # mean over the clips, float32 (K,)


def cut_clips(frames: int, length: int, stride: int = 1, step: int | None = None) -> list[Clip]:
    """Cut a video into clips of `length` shown frames; without a `step` those of `datasets.clip_starts`.

    Every frame is in one; raises ValueError if the step, in frames from clip to clip, would leave some out.
    """
    last, reach = last_start(frames, length, stride), length * stride
    if step and step > reach:
        raise ValueError(f"--step {step} would leave frames out: clips span {reach}")
    starts = list(range(0, last + 1, step or reach))
    if starts[-1] < last:
        starts.append(last)
    clips = []
    for start in starts:
        covered = [start + i for i in range(reach)] if last else [number - 1 for number in loop(0, frames, reach)]
        clips.append(Clip([n - 1 for n in loop(start, frames, length, stride)], [n for n in covered if n < frames]))
    return clips


def whole_video_clip(frames: int, length: int, stride: int, segment_length: int) -> list[Clip]:
    """Return the one clip of a network that sees the middles of equal segments: it stands for the whole video."""
    seen = segment_clips(frames, length, stride, 1, segment_length)[0]
    return [Clip([number - 1 for number in seen], list(range(frames)))]


def predict_class(networks: Sequence[StreamNetwork], video: Mapping[str, Tensor], clips: Sequence[Clip]) -> int:
    """Return the class that networks predict together: by ActivNo, the mean logits over clips and networks."""
    with torch.inference_mode():
        logits = [network(batch).logits.float() for network in networks for batch in batches(network, video, clips)]
    return int(torch.cat(logits).cpu().mean(0).argmax())  # a GPU is waited for once


def track(
    name: str, network: StreamNetwork, video: Mapping[str, Tensor], clips: Sequence[Clip], target: int, layer: str
) -> Track:
    """Compute a network's heat, the mean where clips overlap; every frame is covered by one. Raises as `evidence`."""
    parts = [evidence(network, batch, target, layer) for batch in batches(network, video, clips)]
    maps, logits = (torch.cat([getattr(part, kind) for part in parts]).cpu() for kind in ("maps", "logits"))
    frames, places = video[network.view].shape[1], maps.shape[2:]
    heat, probability, counts = torch.zeros(frames, *places), torch.zeros(frames), torch.zeros(frames)
    for clip, coarse, share in zip(clips, maps, logits.softmax(1)[:, target], strict=True):
        numbers = torch.tensor(clip.covered)
        fine = stretch(coarse[None], (len(numbers), *places))[0]
        heat.index_add_(0, numbers, fine)
        probability.index_add_(0, numbers, share.expand(len(numbers)))
        counts.index_add_(0, numbers, torch.ones(len(numbers)))
    heat /= counts[:, None, None]
    return Track(
        name=name,
        view=network.view,
        layer=parts[0].layer,
        heat=over_greatest(heat),
        curve=over_greatest(heat.mean((1, 2))),
        probability=(probability / counts).numpy(),
        logits=logits.mean(0),
    )


def batches(network: StreamNetwork, video: Mapping[str, Tensor], clips: Sequence[Clip]) -> Iterator[dict[str, Tensor]]:
    """Yield the clips as the network takes them, on its device, a few at a time."""
    frames = video[network.view]
    for first in tqdm(range(0, len(clips), BATCH), "clips", leave=False, disable=None):
        numbers = torch.tensor([clip.seen for clip in clips[first : first + BATCH]])
        clip = frames[:, numbers].transpose(0, 1)
        device = network.mean.device
        # From pinned memory, or a GPU would have to be done with the clips before.
        yield {network.view: clip.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else clip}


def over_greatest(values: Tensor) -> NDArray[np.float32]:
    """Divide values >= 0 by the greatest, to [0, 1]; zeros stay zeros."""
    return (values / values.max().clamp_min(torch.finfo(values.dtype).tiny)).numpy()
