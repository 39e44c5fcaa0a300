"""Losses of the flow that a network of motion estimates, by schedules over the epochs."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn

from sts_common.motionnet import MotionNet, MotionObjective
from sts_common.motionnet.objective import BATCH

from ..distill.names import parse_schedules
from ..distill.schedule import Schedule
from ..streams import StreamNetwork

TERMS = ("photometric", "smoothness", "ssim")
# Where classes are learnt, too, factors on `MotionObjective`, which is the published losses times the `BATCH` of motion
# alone: all but SSIM are divided by the 8 clips of that batch, and SSIM has a tenth of its published weights.
JOINT = {"photometric": 1 / 8, "smoothness": 1 / 8, "ssim": 0.1 / BATCH}


class MotionPass:
    """A pass of clips through a MotionNet: what it saw, and the flow that it found.

    Attributes:
        clips: Windows (M, 3, F, H, W), normalised.
        flows: At five scales, see `MotionNet.forward`.
    """

    clips: Tensor
    flows: list[Tensor]


@contextmanager
def record_pass(network: MotionNet) -> Iterator[MotionPass]:
    """Keep the clips and the flow of the next pass."""
    passed = MotionPass()

    def keep(module: nn.Module, args: tuple[Tensor, ...], flows: list[Tensor]) -> None:
        passed.clips, passed.flows = args[0], flows

    handle = network.register_forward_hook(keep)
    try:
        yield passed
    finally:
        handle.remove()


def motion_of(model: StreamNetwork) -> MotionNet:
    """Return the part of a network that estimates motion; raises ValueError if it has none."""
    motion = getattr(model.network, "motion", None)
    if not isinstance(motion, MotionNet):
        raise ValueError(f"--motion: {model.network.arch} estimates no motion; take --model hidden_two_stream")
    return motion


def motion_terms(model: StreamNetwork, passed: MotionPass, objective: MotionObjective) -> dict[str, Tensor]:
    """Compute the terms "loss_photometric", "loss_smoothness" and "loss_ssim" of a pass, and what no flow would give.

    "still" and "still_ssim" are the photometric and the SSIM term of frames that do not move: less than that is motion
    that was learnt.
    """
    frames = (passed.clips.detach().float() * model.std + model.mean) / 255
    terms = {f"loss_{name}": term for name, term in objective(frames, passed.flows).items()}
    with torch.no_grad():
        still = objective(frames, [torch.zeros_like(flow) for flow in passed.flows])
    return terms | {"still": still["photometric"], "still_ssim": still["ssim"]}


def scaled(objective: MotionObjective, factors: Mapping[str, float]) -> MotionObjective:
    """Return an objective whose terms have these factors, by their names; the others keep their weights."""
    photometric, smoothness, ssim = (factors.get(name, 1.0) for name in TERMS)
    return replace(
        objective,
        photometric=photometric * objective.photometric,
        smoothness=smoothness * objective.smoothness,
        ssim=[ssim * weight for weight in objective.ssim],
    )


def motion_schedules(words: Sequence[str]) -> dict[str, Schedule]:
    """Return schedules in words of `--motion_schedule`, by term of `MotionObjective`; raises as `parse_schedules`."""
    return parse_schedules(words, TERMS, "--motion_schedule")


def total(terms: dict[str, Tensor]) -> Tensor:
    """Return the sum of the terms that are losses."""
    return torch.stack([term for name, term in terms.items() if name.startswith("loss_")]).sum()


def of_epoch(objective: MotionObjective, schedules: Mapping[str, Schedule], epoch: int) -> MotionObjective:
    """Return an objective with the factors that an epoch, counted from 1, has by schedules."""
    return scaled(objective, {name: schedule(epoch) for name, schedule in schedules.items()})
