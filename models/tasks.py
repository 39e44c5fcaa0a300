"""Training tasks: a batch goes in, named losses come out.

The training loop lowers `task(batch)["loss"]`, and with it "own_loss_*", of losses with optimisers of their own. It
knows none of them by name, so distillation needs no loop of its own.
"""

from collections.abc import Iterable, Mapping

import torch.nn.functional as F
from torch import Tensor, nn

from .mixing import ClipMixing
from .streams import StreamNetwork

Batch = Mapping[str, Tensor]


class Task(nn.Module):
    """Base class of the tasks.

    Args:
        model: What is trained and, later, deployed.
        frozen_norms: Batch norms of the model whose statistics stay as they are while training.

    Attributes:
        epoch: Epoch under way, counted from 1; the training loop sets it.
        least_clips: Of a training batch that something can be learnt from.

    Returns:
        {"loss": total, "logits": (N, K), ...}; every further entry is a scalar to be averaged and logged,
        the terms of the loss weighted and called "loss_*".
    """

    least_clips = 1

    def __init__(self, model: StreamNetwork, frozen_norms: Iterable[nn.Module] = ()) -> None:
        super().__init__()
        self.model, self.epoch = model, 1
        frozen = {id(norm) for norm in frozen_norms}
        # Names, for conversion to SyncBatchNorm puts other modules in their place.
        self.frozen_norms = tuple(name for name, module in model.named_modules() if id(module) in frozen)

    def loss_parameters(self) -> list[nn.Parameter]:
        """Return the learnable parts of the losses, which are trained with the model."""
        return []

    def train(self, mode: bool = True) -> "Task":
        super().train(mode)
        for name in self.frozen_norms:
            self.model.get_submodule(name).eval()
        return self


class Classify(Task):
    """Cross-entropy on one stream.

    Args:
        mixing: Mixes the clips of a training batch; "acc" then counts the class that dominates.
        label_smoothing: Share of the label that is spread over all classes, in [0, 1); validation has none of it.
    """

    def __init__(
        self,
        model: StreamNetwork,
        frozen_norms: Iterable[nn.Module] = (),
        mixing: ClipMixing | None = None,
        *,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(model, frozen_norms)
        self.mixing, self.label_smoothing = mixing, check_smoothing(label_smoothing)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        target = batch["label"]
        if self.mixing and self.training:
            batch, target = self.mixing(batch, self.model.view, self.model.num_classes)
        logits = self.model(batch).logits.float()
        smoothing = self.label_smoothing if self.training else 0.0
        out = {"loss": F.cross_entropy(logits, target, label_smoothing=smoothing), "logits": logits}
        if target.is_floating_point():
            out["acc"] = (logits.argmax(1) == target.argmax(1)).float().mean()
        return out


def check_smoothing(value: float) -> float:
    """Return `value`, if labels can be smoothed by it; raises ValueError if it is not in [0, 1)."""
    if not 0 <= value < 1:
        raise ValueError(f"--label_smoothing must be in [0, 1), got {value}")
    return value
