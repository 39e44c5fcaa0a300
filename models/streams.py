"""A network together with the stream it reads: the unit of training, testing and deployment."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .backbones import Backbone
from .backbones.contract import channels_last
from .backbones.output import Output
from .normalisation import Stream


class StreamNetwork(nn.Module):
    """A network with the stream it reads and how that stream is normalised.

    Args:
        network: Takes clips (N, C, T, H, W); brought into the memory format of its rank.
        stream: Its name is a key of the batch; mean and std are per channel, in grey levels 0-255.
        normalisation: {"mean", "std"} in place of the stream's own.
        view: Key of the batch that it reads, like "rgb@224"; by default the name of the stream.

    Attributes:
        stream: Name of the stream.
        view: As above; whoever makes the batch may set it.
        class_names: By label; empty where they are not known, as in published checkpoints.
        recipe: How the clips that it was trained on were made, see `datasets.build_recipe`; empty likewise.
        largest: Clips of the largest batch in eval mode so far, to which smaller ones are filled up for the network,
            since compiled code is made anew for each size; None if they are not.
        source: The checkpoint that it was loaded from, for messages.

    Shape:
        Batch {view: uint8 (N, C, T, H, W), ...} in, `Output` out; ValueError where the batch lacks the view.
    """

    mean: Tensor
    std: Tensor

    network: Backbone

    def __init__(
        self,
        network: Backbone,
        stream: Stream,
        normalisation: Mapping[str, Sequence[float]] | None = None,
        view: str | None = None,
    ) -> None:
        super().__init__()
        channels_last(network)
        self.network, self.stream, self.view = network, stream.name, view or stream.name
        self.class_names: list[str] = []
        self.recipe: dict[str, Any] = {}
        self.source = ""
        self.largest: int | None = None
        for name, default in (("mean", stream.mean), ("std", stream.std)):
            values = torch.tensor((normalisation or {}).get(name, default))
            self.register_buffer(name, values.view(-1, 1, 1, 1), persistent=False)

    @property
    def normalisation(self) -> dict[str, list[float]]:
        """Return mean and standard deviation, as plain values for a checkpoint."""
        return {"mean": self.mean.flatten().tolist(), "std": self.std.flatten().tolist()}

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the classifier by a freshly initialised one, whose classes have no names yet."""
        self.network.reset_classifier(num_classes)
        self.class_names = []

    @property
    def num_classes(self) -> int:
        """Return the outputs of the classifier."""
        return self.network.num_classes

    def forward(self, batch: Mapping[str, Tensor]) -> Output:
        clips = self.inputs(batch)
        count = len(batch[self.view])
        out: Output = self.network(clips)
        if len(clips) == count:
            return out
        return Output(out.logits[:count], {name: feature[:count] for name, feature in out.features.items()})

    def inputs(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the clips (N, C, T, H, W) of a batch as the network takes them: its view, normalised.

        There are more of them than in the batch where `largest` has batches filled up.

        Raises:
            ValueError: If the batch lacks the view.
        """
        if self.view not in batch:
            there = ", ".join(name for name, value in batch.items() if getattr(value, "ndim", 0) == 5)
            raise ValueError(
                f"the batch has no {self.view}, which the network reads, but {there or 'no clips'}: open the videos "
                f"with its stream, and cut the clips with ClipOptions(streams=['{self.view}', ...])"
            )
        clips = batch[self.view]
        if self.largest is not None and not self.training:
            self.largest = max(self.largest, len(clips))
            clips = pad_batch(clips, self.largest)
        kind, dtype = clips.device.type, next(self.network.parameters()).dtype
        if torch.is_autocast_enabled(kind):
            dtype = torch.get_autocast_dtype(kind)
        return normalise(clips, self.mean, self.std, dtype)


def pad_batch(clips: Tensor, count: int) -> Tensor:
    """Return `count` clips, the last one repeated where there are fewer; none stay none."""
    missing = count - len(clips)
    return torch.cat([clips, clips[-1:].expand(missing, *clips.shape[1:])]) if len(clips) and missing else clips


def normalise(clips: Tensor, mean: Tensor, std: Tensor, dtype: torch.dtype) -> Tensor:
    """Compute (clips - mean) / std in float32, rounded once; channels come last in memory.

    Args:
        clips: Shape (N, C, T, H, W), uint8 or of mixed clips float32.
        mean: Shape (C, 1, 1, 1), as `std`.
        std: Standard deviations.
        dtype: What the first convolution takes.
    """
    clips = clips.contiguous(memory_format=torch.channels_last_3d)  # while they are bytes
    return clips.sub(mean).div_(std).to(dtype)
