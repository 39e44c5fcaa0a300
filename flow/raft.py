"""RAFT (Teed and Deng, ECCV 2020): a learned flow, computed by torchvision's network from weights on the disk."""

from pathlib import Path
from typing import Any

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn import functional as F

from sts_common.precision import full_float32

from .learned import default_device, digest, read_weights
from .pairs import solve

SMALLEST = 128  # sides for which the coarsest correlations still have two cells
HOW_TO_GET = (
    'python -c "import torch, torchvision.models.optical_flow as f; '
    "torch.save(f.Raft_Large_Weights.DEFAULT.get_state_dict(), 'raft_large.pth')\""
)


def raft(
    weights: str | Path | None = None, iterations: int = 12, batch_size: int = 8, device: str | None = None
) -> "RaftFlow":
    """Build RAFT with the weights of a file; nothing is ever downloaded.

    Args:
        weights: State dict of torchvision's `raft_large` or `raft_small`; which of them is seen from its names.
        iterations: Updates of the flow, >= 1; 12 is torchvision's default.
        batch_size: Most pairs that are computed at once, >= 1; memory grows with it.
        device: Where arrays and tensors on the CPU are computed, e.g. "cuda:1"; None is the GPU if there is one. Other
            tensors are computed where they are.

    Raises:
        FileNotFoundError: No such file.
        ValueError: No weights given, a file that is not such a state dict, a parameter out of range.
    """
    for name, value in (("iterations", iterations), ("batch_size", batch_size)):
        if type(value) is not int or value < 1:
            raise ValueError(f"raft needs {name} >= 1, a whole number, got {value!r}")
    state = read_weights("raft", weights, f"to get RAFT's weights: {HOW_TO_GET}")
    return RaftFlow(build_network(state, str(weights)), iterations, batch_size, device or default_device())


class RaftFlow:
    """RAFT as `(previous, following) -> flow`; see `build_flow` for shapes and units.

    Grey images are shown as RGB with three equal channels. One thread at a time may call it, for the network keeps the
    correlations of its last pair. How good the flow is rests on the weights, and was not measured here.
    """

    def __init__(self, network: nn.Module, iterations: int, batch_size: int, device: str) -> None:
        import torchvision

        self.network = network.eval().requires_grad_(False)
        self.iterations, self.batch_size, self.device = iterations, batch_size, torch.device(device)
        size = "small" if network.mask_predictor is None else "large"
        self.description: dict[str, Any] = {
            "algorithm": "raft",
            "parameters": {"iterations": iterations, "size": size, "weights": digest(network)},
            "library": f"torchvision {torchvision.__version__}",
        }

    def __call__(self, previous: ArrayLike | Tensor, following: ArrayLike | Tensor) -> Any:
        return solve(previous, following, self.device, self.find)

    def find(self, previous: Tensor, following: Tensor) -> Tensor:
        """Compute flow (N, H, W, 2) of uint8 (N, H, W) on one device."""
        self.network.to(previous.device)
        height, width = previous.shape[1:]
        left, _, top, _ = margins(height, width)
        # Made outside of inference_mode: a network that learns could not take tensors from inside.
        flow = torch.empty((*previous.shape, 2), device=previous.device)
        with torch.inference_mode(), full_float32(previous.device):
            for start in range(0, len(flow), self.batch_size):
                part = slice(start, start + self.batch_size)
                images = as_input(previous[part]), as_input(following[part])
                estimate = self.network(*images, num_flow_updates=self.iterations)[-1]  # (n, 2, padded H and W)
                flow[part] = estimate[..., top : top + height, left : left + width].permute(0, 2, 3, 1)
        return flow


def as_input(images: Tensor) -> Tensor:
    """Convert uint8 (N, H, W) to the network's input: float32 (N, 3, H', W') in [-1, 1], edges repeated outwards."""
    scaled = images[:, None].float() / 127.5 - 1
    return F.pad(scaled, margins(*images.shape[-2:]), mode="replicate").expand(-1, 3, -1, -1)


def margins(height: int, width: int) -> tuple[int, int, int, int]:
    """Return (left, right, top, bottom) that make both sides multiples of 8 and at least `SMALLEST`."""
    extra_x, extra_y = (max(SMALLEST, -(-side // 8) * 8) - side for side in (width, height))
    return extra_x // 2, extra_x - extra_x // 2, extra_y // 2, extra_y - extra_y // 2


def build_network(state: Any, path: str) -> nn.Module:
    """Build the network whose state dict `state` is; `path` is for the error."""
    from torchvision.models.optical_flow import raft_large, raft_small  # a second that other flows need not wait

    names = state.keys() if isinstance(state, dict) else ()
    # Only the large network learns how to enlarge its flow.
    network = (raft_large if any(str(name).startswith("mask_predictor.") for name in names) else raft_small)()
    if set(names) != network.state_dict().keys():
        raise ValueError(
            f"{path}: not the state dict of torchvision's raft_large or raft_small; to get it: {HOW_TO_GET}"
        )
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(f"{path}: a RAFT of other sizes than torchvision's: {error}") from error
    return network
