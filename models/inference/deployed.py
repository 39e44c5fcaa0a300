"""The module that is exported: clips in, scores out, nothing to prepare."""

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from ..fusion import FUSIONS, stream_weights
from ..streams import StreamNetwork, normalise
from .speed import inference_ready


class Deployed(nn.Module):
    """Networks of one or several streams as one function of clips, fused, with normalisation inside.

    Clips are bytes, as decoders give them: nobody can normalise twice or not at all, and a quarter of the memory is
    moved. Several networks may read the same view, which is then one input.

    Args:
        models: Copied, their batch norms folded into convolutions; their classes are the same.
        dtype: Of weights and activations; normalisation, fusion and the results are float32.
        fusion: A key of `FUSIONS`. It acts on each clip; only with "activno" does it not matter whether clips are
            averaged before or after.
        weights: See `stream_weights`.
        softmax: Adds "probabilities"; for "activno", whose results are logits.
        channels_last: Whether activations have their channels last in memory, which torch prefers; others do not.

    Shape:
        Clips {view: uint8 (N, C, T, H, W), ...} in, {"logits": (N, K)} out; with another fusion than "activno"
        "scores" in its place.

    Raises:
        ValueError: If fusion and weights do not fit the networks, or softmax the fusion.
    """

    share: Tensor

    def __init__(
        self,
        models: Sequence[StreamNetwork],
        dtype: torch.dtype = torch.float32,
        *,
        fusion: str = "activno",
        weights: Sequence[float] | None = None,
        softmax: bool = False,
        channels_last: bool = True,
    ) -> None:
        super().__init__()
        if fusion not in FUSIONS:
            raise ValueError(f"--fusion {fusion}: choose one of {', '.join(FUSIONS)}")
        if softmax and fusion != "activno":
            raise ValueError(f"--softmax is for the logits of --fusion activno, not for {fusion}: leave it out")
        self.models = nn.ModuleList(inference_ready(model, dtype) for model in models)
        self.models.to(memory_format=torch.contiguous_format)  # as files keep weights, and torch reorders them in use
        self.dtype, self.fusion, self.softmax = dtype, fusion, softmax
        self.layout = torch.channels_last_3d if channels_last else torch.contiguous_format
        # A buffer, which follows the module to a GPU; a tensor made while tracing would stay where it was made.
        self.register_buffer("share", torch.tensor(stream_weights(weights, len(models))), persistent=False)

    @property
    def outputs(self) -> list[str]:
        """Return the names of the results, in order."""
        return ["logits" if self.fusion == "activno" else "scores", *(["probabilities"] if self.softmax else [])]

    def forward(self, clips: dict[str, Tensor]) -> dict[str, Tensor]:
        logits = torch.stack([self.logits(model, clips) for model in cast(Iterable[StreamNetwork], self.models)])
        fused = (FUSIONS[self.fusion](logits) * self.share[:, None, None]).sum(0)
        results = [fused, fused.softmax(-1)] if self.softmax else [fused]
        return dict(zip(self.outputs, results, strict=True))

    def logits(self, model: StreamNetwork, clips: Mapping[str, Tensor]) -> Tensor:
        """Compute the logits of one network in float32, shape (N, K)."""
        normalised = normalise(clips[model.view], model.mean, model.std, self.dtype)
        return model.network(normalised.contiguous(memory_format=self.layout)).logits.float()
