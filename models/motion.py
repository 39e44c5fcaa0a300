"""Learning motion from frames alone, before or beside the classes: Hidden Two-Stream (Zhu et al., ACCV 2018)."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn

from sts_common.motionnet import MotionNet, MotionObjective
from sts_common.motionnet.network import whole_flow
from sts_common.motionnet.objective import SSIM

from .backbones.contract import within
from .backbones.hidden_two_stream import BOUND, HiddenTwoStream
from .backbones.images import MOTION as SEEN
from .backbones.layout import split_segments
from .mixing import Mixing
from .streams import StreamNetwork
from .tasks import Batch, Classify, Task
from .weights import load_weights, strip_prefix, weights_of

MOTION = ("off", "alone", "joint")
TOLERANCE = 1e-3  # grey levels, by which float32 moves a mean
# As published where motion and classes are learnt together: clips of a batch, by which all losses of motion are
# divided, and the part that SSIM has of the weights that it has alone.
JOINT = 8
JOINT_SSIM = 0.1


class MotionPass:
    """A pass of clips through a MotionNet: what it saw, and the flow that it found.

    Attributes:
        clips: Windows (M, 3, F, H, W), normalised.
        flows: At five scales, see `MotionNet.forward`.
    """

    clips: Tensor
    flows: list[Tensor]


@contextmanager
def watched(network: MotionNet) -> Iterator[MotionPass]:
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
    """Return the part of a network that estimates motion.

    Raises:
        ValueError: If it has none.
    """
    motion = getattr(model.network, "motion", None)
    if not isinstance(motion, MotionNet):
        raise ValueError(f"--motion: {model.network.arch} estimates no motion; take --model hidden_two_stream")
    return motion


def motion_terms(model: StreamNetwork, passed: MotionPass, objective: MotionObjective) -> dict[str, Tensor]:
    """Compute the terms "loss_photometric", "loss_smoothness" and "loss_ssim" of a pass, and what no flow would give.

    "still" is the photometric term of frames that do not move: less than that is motion that was learnt.
    """
    frames = (passed.clips.detach().float() * model.std + model.mean) / 255
    terms = {f"loss_{name}": term for name, term in objective(frames, passed.flows).items()}
    with torch.no_grad():
        still = objective(frames, [torch.zeros_like(flow) for flow in passed.flows])
    return terms | {"still": still["photometric"]}


def total(terms: dict[str, Tensor]) -> Tensor:
    """Return the sum of the terms that are losses."""
    return torch.stack([term for name, term in terms.items() if name.startswith("loss_")]).sum()


def create_task(
    model: StreamNetwork,
    frozen_norms: Iterable[nn.Module] = (),
    mixing: Mixing | None = None,
    *,
    label_smoothing: float = 0.0,
    motion: str = "off",
) -> Task:
    """Create the task of one network: its classes, its motion, or both.

    Args:
        model: Trained.
        frozen_norms: As in `Task`.
        mixing: As in `Classify`.
        label_smoothing: Likewise.
        motion: One of `MOTION`.

    Raises:
        ValueError: If motion is asked of a network that has none, or of mixed clips.
    """
    if motion == "off":
        return Classify(model, frozen_norms, mixing, label_smoothing=label_smoothing)
    if mixing:
        raise ValueError(f"--motion {motion}: mixed clips have no motion; leave out --mixup and --cutmix")
    if motion == "alone":
        return LearnMotion(model)
    return ClassifyByMotion(model, frozen_norms, label_smoothing=label_smoothing)


def start_temporal(model: StreamNetwork, checkpoint: Mapping[str, Any], source: str) -> None:
    """Begin with the weights of a flow network where the estimated flow is classified ("stack, then fine-tune").

    Args:
        model: A hidden two-stream network.
        checkpoint: Content of the file of the flow network, of the same architecture and classes.
        source: Its name, for errors.

    Raises:
        ValueError: If it is another network or reads another stream, or the model estimates no motion.
    """
    motion_of(model)
    if checkpoint.get("stream", "flow") != "flow":
        raise ValueError(f"--temporal_path {source}: reads {checkpoint['stream']}, not flow")
    check_inputs(checkpoint.get("recipe", {}), source)
    network = cast(HiddenTwoStream, model.network)
    plain, temporal = strip_prefix(weights_of(checkpoint, source)), network.temporal
    weights = {name: x for name, x in network.state_dict().items() if name.startswith("motion.")}
    for name, x in (temporal.in_dialect(plain) or plain).items():
        head = within(name, temporal.classifier)
        weights[f"fc{name.removeprefix(temporal.classifier)}" if head else f"temporal.{name}"] = x
    load_weights(network, weights, source)


def check_inputs(recipe: Mapping[str, Any], source: str) -> None:
    """Refuse a flow network that saw flow otherwise than it is estimated; what a recipe does not state is not asked.

    Raises:
        ValueError: Names the difference.
    """
    for name, (expected,) in zip(("mean", "std"), SEEN, strict=True):
        stated = recipe.get("normalisation", {}).get(name, ())
        if any(abs(value - expected) > TOLERANCE for value in stated):
            raise ValueError(
                f"--temporal_path {source}: its inputs have {name} {stated}, estimated flow has {expected}: train it "
                "with --normalisation auto"
            )
    if (bound := recipe.get("provenance", {}).get("bound", BOUND)) != BOUND:
        raise ValueError(
            f"--temporal_path {source}: saw flow cut at {bound} pixels, and estimated flow is cut at {BOUND}"
        )


class LearnMotion(Task):
    """Unsupervised training of the motion of a hidden two-stream network; the rest of it stays as it is.

    Labels are not looked at.

    Args:
        model: Its network has a `motion`.
        objective: What it learns.

    Raises:
        ValueError: If it has none.
    """

    def __init__(self, model: StreamNetwork, objective: MotionObjective | None = None) -> None:
        super().__init__(model)
        self.objective = objective or MotionObjective()
        motion = motion_of(model)
        for parameter in model.network.parameters():
            parameter.requires_grad_(False)
        for parameter in motion.parameters():
            parameter.requires_grad_(True)
        model.network.learning_rates = {}  # it learns alone, so at the full rate

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        motion = motion_of(self.model)
        clips = self.model.inputs(batch)
        with watched(motion) as passed:
            whole_flow(motion, split_segments(clips, self.model.network.segments))
        terms = motion_terms(self.model, passed, self.objective)
        return {"loss": total(terms), **terms}


def joint_objective() -> MotionObjective:
    """Return what motion learns beside the classes, weighed against the cross-entropy as published."""
    alone = MotionObjective()
    return MotionObjective(
        alone.photometric / JOINT, alone.smoothness / JOINT, [JOINT_SSIM * weight for weight in SSIM]
    )


class ClassifyByMotion(Classify):
    """Cross-entropy of a hidden two-stream network, with the losses of its motion.

    Args:
        model: As of `LearnMotion`.
        frozen_norms: As in `Task`.
        label_smoothing: As in `Classify`.
        objective: Of the motion.
    """

    def __init__(
        self,
        model: StreamNetwork,
        frozen_norms: Iterable[nn.Module] = (),
        *,
        label_smoothing: float = 0.0,
        objective: MotionObjective | None = None,
    ) -> None:
        super().__init__(model, frozen_norms, label_smoothing=label_smoothing)
        motion_of(model)
        self.objective = objective or joint_objective()

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        with watched(motion_of(self.model)) as passed:
            out = super().forward(batch)
        terms = motion_terms(self.model, passed, self.objective)
        return out | terms | {"loss": out["loss"] + total(terms), "loss_ce": out["loss"]}
