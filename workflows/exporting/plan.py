"""Plan of an export: the networks of some checkpoints, their fusion, and the metadata of the file."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from datasets import parse_view
from engine import checkpoint
from models import StreamNetwork, fuse, stream_weights
from models.inference.deployed import Deployed
from models.inference.runtimes import Clips
from sts_common.files import sha256

from ..predicting.agreement import common_recipe
from ..predicting.trained import Source, distinct_names, listed, load_trained
from ..testing.fusing import ALONE
from .real_clips import Calibration

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
INT8 = "int8"  # weights and most activations, which no module of torch holds here: a file is quantised once it is made


@dataclass(frozen=True)
class Export:
    """Networks and the form in which they are exported."""

    paths: Sequence[str]  # checkpoint files; of networks that a program held, "network 1"
    states: Sequence[Mapping[str, Any]]  # their content
    models: Sequence[StreamNetwork]  # their networks in eval mode, as they are tested
    recipe: Mapping[str, Any]  # how clips are made
    dtype: str = "float32"  # a key of `DTYPES`, or `INT8`
    fusion: str = "activno"  # a key of `FUSIONS`
    weights: Sequence[float] = (1.0,)  # share of each network, summing to 1
    softmax: bool = False  # whether probabilities are a second result
    calibration: Calibration | None = None  # clips by which it is quantised; None unless it is `INT8`

    def deployed(self, *, channels_last: bool = True) -> Deployed:
        """Build the exported module."""
        return Deployed(
            self.models,
            DTYPES.get(self.dtype, torch.float32),
            fusion=self.fusion,
            weights=self.weights,
            softmax=self.softmax,
            channels_last=channels_last,
        ).eval()

    def reference(self, clips: Clips) -> Tensor:
        """Compute the checkpoints' logits of clips, fused, float32, shape (N, K)."""
        with torch.inference_mode():
            return fuse(torch.stack([model(clips).logits.float() for model in self.models]), self.fusion, self.weights)

    def shapes(self) -> dict[str, tuple[int, int, int, int]]:
        """Return the shape (C, T, H, W) of a clip of each input, by the name of its view."""
        frames, size = self.recipe["sample_duration"], self.recipe["sample_size"]
        sides = {model.view: parse_view(model.view).side or size for model in self.models}
        return {model.view: (model.mean.numel(), frames, *(sides[model.view],) * 2) for model in self.models}

    def clips(self, count: int, seed: int = 0) -> Clips:
        """Draw a batch of noise, uint8 (count, C, T, H, W)."""
        noise = torch.Generator().manual_seed(seed)
        return {
            name: torch.randint(0, 256, (count, *shape), dtype=torch.uint8, generator=noise)
            for name, shape in self.shapes().items()
        }

    def about(self) -> dict[str, Any]:
        """Return the metadata that a user of the file needs, as plain JSON values."""
        classes = self.states[0]["class_names"]
        return {
            "inputs": {name: {"dtype": "uint8", "shape": ["batch", *shape]} for name, shape in self.shapes().items()},
            "class_names": list(classes),
            "recipe": {name: value for name, value in self.recipe.items() if name != "normalisation"},
            "fusion": {"method": self.fusion, "weights": list(self.weights)},
            "dtype": self.dtype,
            "checkpoints": self.checkpoints(),
            "torch": str(torch.__version__),
            **({"calibration": dict(self.calibration.about)} if self.calibration else {}),
        }

    def checkpoints(self) -> list[dict[str, Any]]:
        """Return the origin of the networks: file, SHA-256, and the checkpoint's description of its network."""
        fields = ("arch", "stream", "metrics", "data")
        return [
            {"file": Path(path).name}
            | ({"sha256": sha256(path)} if Path(path).is_file() else {})
            | {name: state[name] for name in fields if name in state}
            | {"epoch": checkpoint.finished_epochs(state), "normalisation": model.normalisation}
            for path, state, model in zip(self.paths, self.states, self.models, strict=True)
        ]


def build_export(
    networks: Source | Iterable[Source],
    *,
    dtype: str = "float32",
    fusion: str = "activno",
    fusion_weights: Sequence[float] | None = None,
    softmax: bool = False,
    class_names: Sequence[str] | None = None,
    recipe: Mapping[str, Any] | None = None,
) -> Export:
    """Load the networks of an export, checked against each other; arguments are those of `export.export`.

    Raises FileNotFoundError if a checkpoint is missing; ValueError if one does not say how to use it, or they cannot be
    one model.
    """
    sources = listed(networks)
    names = distinct_names(sources, ALONE)
    weights = stream_weights(fusion_weights, len(sources))  # an error now, not after loading
    trained = load_trained(sources, names, class_names=class_names, recipe=recipe)
    states = [model.state for model in trained]
    models = [model.network.requires_grad_(False) for model in trained]
    return Export(names, states, models, common_recipe(names, states), dtype, fusion, weights, softmax)
