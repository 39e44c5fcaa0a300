"""Training tasks of motion: alone, without labels, and beside the classes."""

from collections.abc import Iterable, Mapping, Sequence

from torch import Tensor, nn

from sts_common.motionnet import MotionObjective
from sts_common.motionnet.network import whole_flow

from ..backbones.layout import split_segments
from ..distill.schedule import Schedule
from ..mixing import ClipMixing
from ..streams import StreamNetwork
from ..tasks import Batch, Classify, Task
from .losses import JOINT, motion_of, motion_schedules, motion_terms, of_epoch, record_pass, scaled, total

MOTION = ("off", "alone", "joint")


def create_task(
    model: StreamNetwork,
    frozen_norms: Iterable[nn.Module] = (),
    mixing: ClipMixing | None = None,
    *,
    label_smoothing: float = 0.0,
    motion: str = "off",
    schedule: Sequence[str] = (),
) -> Task:
    """Create the task of one network: its classes, its motion, or both, by `motion`, which is one of `MOTION`.

    `schedule` is of the losses of motion, words of `--motion_schedule` like "ssim=1..0@0-20"; all else as `Classify`.

    Raises:
        ValueError: If motion is asked of a network that has none, or of mixed clips.
    """
    if motion == "off":
        return Classify(model, frozen_norms, mixing, label_smoothing=label_smoothing)
    if mixing:
        raise ValueError(f"--motion {motion}: mixed clips have no motion; leave out --mixup and --cutmix")
    if motion == "alone":
        return LearnMotion(model, schedules=motion_schedules(schedule))
    return ClassifyByMotion(model, frozen_norms, label_smoothing=label_smoothing, schedules=motion_schedules(schedule))


class LearnMotion(Task):
    """Unsupervised training of the motion of a hidden two-stream network; the rest of it stays as it is.

    Labels are not looked at.

    Args:
        model: Its network has a `motion`.
        objective: What it learns.
        schedules: Factors on its terms by epoch.

    Raises:
        ValueError: If it has none.
    """

    def __init__(
        self,
        model: StreamNetwork,
        objective: MotionObjective | None = None,
        schedules: Mapping[str, Schedule] | None = None,
    ) -> None:
        super().__init__(model)
        self.objective, self.schedules = objective or MotionObjective(), schedules or {}
        motion = motion_of(model)
        for parameter in model.network.parameters():
            parameter.requires_grad_(False)
        for parameter in motion.parameters():
            parameter.requires_grad_(True)
        model.network.learning_rates = {}  # it learns alone, so at the full rate

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        motion = motion_of(self.model)
        clips = self.model.inputs(batch)
        with record_pass(motion) as passed:
            whole_flow(motion, split_segments(clips, self.model.network.segments))
        terms = motion_terms(self.model, passed, of_epoch(self.objective, self.schedules, self.epoch))
        return {"loss": total(terms), **terms}


class ClassifyByMotion(Classify):
    """Cross-entropy of a hidden two-stream network, with the losses of its motion.

    Args:
        objective: Of the motion.
        schedules: Factors on its terms by epoch.
    """

    def __init__(
        self,
        model: StreamNetwork,
        frozen_norms: Iterable[nn.Module] = (),
        *,
        label_smoothing: float = 0.0,
        objective: MotionObjective | None = None,
        schedules: Mapping[str, Schedule] | None = None,
    ) -> None:
        super().__init__(model, frozen_norms, label_smoothing=label_smoothing)
        motion_of(model)
        self.objective, self.schedules = objective or scaled(MotionObjective(), JOINT), schedules or {}

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        with record_pass(motion_of(self.model)) as passed:
            out = super().forward(batch)
        terms = motion_terms(self.model, passed, of_epoch(self.objective, self.schedules, self.epoch))
        return out | terms | {"loss": out["loss"] + total(terms), "loss_ce": out["loss"]}
