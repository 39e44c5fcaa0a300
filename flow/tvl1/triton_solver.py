"""TV-L1 on a GPU: batches of pairs by Triton's kernels, which keep several iterations in registers."""

from subprocess import CalledProcessError

import torch
from torch import Tensor

from .tensor_solver import TensorSolver
from .tensors import blocks, full_waves, settled_change

OLDEST = 7, 0  # compute capability that Triton compiles for


class TritonTVL1(TensorSolver):
    """TV-L1 by Triton's kernels on CUDA devices.

    To float tolerance the flow is that of `TorchTVL1`. All work is put on the current stream and none of it is waited
    for, unless the flow has to come back to the CPU. The kernels are compiled at the first call, for seconds, and kept
    in Triton's cache on the disk.
    """

    default_device = "cuda"

    def at_once(self, height: int, width: int, most: int, device: torch.device) -> int:
        if device.type != "cuda":  # interpreted
            return most
        sizes = self.parameters.pyramid(height, width)
        processors = torch.cuda.get_device_properties(device).multi_processor_count
        return full_waves(tuple(tiles_of(*size) for size in sizes), most, processors)

    def refine(self, previous: Tensor, planes: Tensor, flow: Tensor) -> Tensor:
        from . import triton_kernels as kernels
        from . import triton_median as filters

        parameters, (pairs, _, height, width) = self.parameters, flow.shape
        state = flow.new_zeros(pairs, 6, height, width)
        state[:, :2] = flow / parameters.theta
        result, data = torch.empty_like(state), flow.new_empty(pairs, 4, height, width)
        smoothed = torch.empty_like(flow)
        tiles = tiles_of(height, width)
        changes, changed = flow.new_empty(2, pairs, tiles)
        size, enough = (height, width), settled_change(parameters, height, width)
        for _ in range(parameters.warps):
            kernels.linearise[(pairs * -(-height * width // kernels.BLOCK),)](
                *(previous, planes, state, data, *size, parameters.theta, parameters.lambda_, kernels.BLOCK),
                enable_fp_fusion=True,
            )
            changes.fill_(torch.inf)
            for smooth, steps in blocks(parameters, kernels.HALO):
                if smooth:
                    filters.smooth[(pairs * -(-height * width // filters.PIXELS),)](
                        *(state, changes, smoothed, *size, tiles, enough),
                        *(parameters.median_filtering, filters.PIXELS, filters.CHUNK),
                    )
                kernels.iterate[(pairs * tiles,)](
                    *((smoothed, 2) if smooth else (state, 6)),
                    *(state, data, changes, result, changed, *size, steps, parameters.tau, enough),
                    *(kernels.TILE, kernels.HALO, filters.CHUNK),
                    num_warps=kernels.WARPS,
                    enable_fp_fusion=True,
                )
                state, result, changes, changed = result, state, changed, changes
        return state[:, :2] * parameters.theta


def tiles_of(height: int, width: int) -> int:
    """Return how many programs iterate an image, each in a tile of it."""
    from . import triton_kernels as kernels

    inner = kernels.TILE - 2 * kernels.HALO
    return -(-height // inner) * -(-width // inner)


def missing() -> str:
    """Return why the kernels cannot run on this machine and how to change that; "" if they can."""
    if not torch.cuda.is_available():
        return "no CUDA device that this torch can use: check nvidia-smi and the torch build"
    if torch.cuda.get_device_capability() < OLDEST:
        return f"Triton needs a GPU of compute capability {OLDEST[0]}.{OLDEST[1]} or newer"
    try:
        import triton

        triton.runtime.driver.active.get_current_target()  # compiles what starts kernels
    except ImportError:
        return "no Triton: pip install triton"
    except (RuntimeError, OSError, CalledProcessError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        return f"Triton cannot start kernels here: {reason}; install gcc and Python's headers (python3-dev)"
    return ""
