"""MotionNet as a flow from one grey image to the next."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from sts_common.motionnet.network import CHANNELS, MotionNet, whole_flow
from sts_common.precision import full_float32

from .learned import default_device, digest, read_weights
from .pairs import solve

HOW_TO_GET = "train one: docs/systems.md, Hidden Two-Stream"
PREFIXES = ("motion.", "module.motion.", "")
FIRST_WEIGHT = "encoder.0.0.0.weight"


def motionnet(weights: str | Path | None = None, device: str | None = None) -> "MotionFlow":
    """Build MotionNet with the weights of a checkpoint of a hidden two-stream network; the device as of `raft`.

    Raises FileNotFoundError if there is no such file; ValueError if no weights are given, or a file of another network.
    """
    network, mean, std = build_network(read_weights("motionnet", weights, HOW_TO_GET), str(weights))
    return MotionFlow(network, mean, std, device or default_device())


class MotionFlow:
    """MotionNet as `(previous, following) -> flow`; see `build_flow` for shapes and units.

    Grey images are shown as RGB with three equal channels. Pairs that follow each other, as those of a video do, are
    seen in windows of as many frames as the network takes; a pair that stands alone is followed by its second image
    repeated. So the flow of a pair depends on which pairs are computed with it. Mean and std are of red, green and blue
    in grey levels.
    """

    def __init__(self, network: MotionNet, mean: Tensor, std: Tensor, device: str) -> None:
        self.network, self.device = network.eval().requires_grad_(False), torch.device(device)
        self.mean, self.std = mean.view(3, 1, 1, 1), std.view(3, 1, 1, 1)
        self.description: dict[str, Any] = {
            "algorithm": "motionnet",
            "parameters": {"frames": network.frames, "weights": digest(network)},
            "library": f"torch {torch.__version__.partition('+')[0]}",
        }

    def __call__(self, previous: ArrayLike | Tensor, following: ArrayLike | Tensor) -> Any:
        return solve(previous, following, self.device, self.find)

    @torch.inference_mode()
    def find(self, previous: Tensor, following: Tensor) -> Tensor:
        """Compute flow (N, H, W, 2) of uint8 (N, H, W) on one device."""
        self.network.to(previous.device)
        mean, std = self.mean.to(previous.device), self.std.to(previous.device)
        flows = []
        with full_float32(previous.device):
            for video in sequences(previous, following):
                clip = (video.float().expand(3, -1, -1, -1) - mean) / std
                flows.append(whole_flow(self.network, clip[None])[0].permute(0, 2, 3, 1))
        return torch.cat(flows)


def sequences(previous: Tensor, following: Tensor) -> list[Tensor]:
    """Return the videos (T, H, W) that pairs (N, H, W) are of: a pair goes on if it begins where the last one ended."""
    breaks = [i for i in range(1, len(previous)) if not torch.equal(previous[i], following[i - 1])]
    edges = [0, *breaks, len(previous)]
    spans = [slice(*edge) for edge in pairwise(edges)]
    return [torch.cat((previous[span][:1], following[span])) for span in spans]


def build_network(state: Any, path: str) -> tuple[MotionNet, Tensor, Tensor]:
    """Build the network of a checkpoint, with mean and std of its inputs in grey levels.

    Raises ValueError if it is of another network, or does not say how its inputs are normalised.
    """
    state = state if isinstance(state, dict) else {}
    tensors = state.get("state_dict", {})
    prefix = next((prefix for prefix in PREFIXES if prefix + FIRST_WEIGHT in tensors), None)
    normalisation = state.get("recipe", {}).get("normalisation", {})
    if prefix is None or not {"mean", "std"} <= normalisation.keys():
        raise ValueError(f"{path}: not a checkpoint of a hidden two-stream network; {HOW_TO_GET}")
    weights = {name.removeprefix(prefix): x for name, x in tensors.items() if name.startswith(prefix)}
    channels, inputs = weights[FIRST_WEIGHT].shape[:2]
    network = MotionNet(inputs // 3, channels / CHANNELS[0])
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(f"{path}: a MotionNet of other sizes: {str(error).splitlines()[-1].strip()}") from error
    return network, torch.tensor(normalisation["mean"]), torch.tensor(normalisation["std"])
