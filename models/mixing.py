"""Clips of a batch mixed with one another, and their labels likewise, by mixup and CutMix; or changing places."""

from collections.abc import Mapping
from math import inf

import torch
from torch import Tensor


class ClipMixing:
    """Mixup (Zhang et al., 2018) or CutMix (Yun et al., 2019) of every batch, by torchvision.

    Each clip is mixed with the one before it in the batch; one draw counts for the whole batch, and all frames of the
    clips. If both are on, one of them is drawn for each batch. Draws are those of torch's global generator.

    Args:
        mixup: Parameter of the beta distribution of the weights, 0 for no mixup.
        cutmix: Likewise of the parts of the area, 0 for no CutMix.

    Raises:
        ValueError: If a parameter is negative, or both are 0.
    """

    def __init__(self, mixup: float = 0.0, cutmix: float = 0.0) -> None:
        if not (0 <= mixup < inf and 0 <= cutmix < inf and mixup + cutmix > 0):  # which NaN is not, either
            raise ValueError(f"--mixup and --cutmix must be >= 0, and one of them > 0, got {mixup} and {cutmix}")
        from torchvision.transforms import v2  # seconds that runs without mixing need not wait

        kinds = ((v2.MixUp, mixup), (v2.CutMix, cutmix))
        self.transforms = [kind(alpha=alpha, num_classes=None) for kind, alpha in kinds if alpha > 0]

    def __call__(self, batch: Mapping[str, Tensor], view: str, num_classes: int) -> tuple[dict[str, Tensor], Tensor]:
        """Mix a batch.

        Args:
            batch: Clips (N, C, T, H, W) under the name of the view, and "label" (N,).
            view: Which clips are mixed.
            num_classes: Labels are below it.

        Returns:
            The batch with float clips in place of its own, and soft labels (N, num_classes) that sum to 1.
        """
        from torchvision.tv_tensors import Video

        which = int(torch.randint(len(self.transforms), ()))
        labels = torch.nn.functional.one_hot(batch["label"], num_classes).float()
        clips, labels = self.transforms[which](Video(batch[view].float()), labels)
        return {**batch, view: clips.as_subclass(Tensor)}, labels


def create_mixing(mixup: float = 0.0, cutmix: float = 0.0) -> ClipMixing | None:
    """Create what mixes clips; None if both parameters are 0. Arguments and errors as `ClipMixing`."""
    return ClipMixing(mixup, cutmix) if mixup or cutmix else None


def neighbours(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Shift a batch by one, so that the teacher at position i sees clip i - 1, with its label.

    Raises:
        ValueError: If it is of one clip, which would keep its place.
    """
    if len(next(iter(batch.values()))) < 2:
        raise ValueError("--teacher_clips others: needs --batch_size 2 or more")
    return {name: values.roll(1, 0) for name, values in batch.items() if isinstance(values, Tensor)}
