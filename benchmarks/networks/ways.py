"""Ways to run a network: that of the published code, and ours, each of which adds one optimisation."""

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.device.precision import autocast, dtype_of
from models import StreamNetwork
from models.inference.grouped import DENSE
from models.inference.runtimes import ENGINES
from models.inference.speed import compiled, inference_ready
from sts_common import check_choice
from workflows.exporting.plan import INT8
from workflows.measuring.exported_networks import exported_run, missing_packages

ORIGINAL = "fp32, contiguous, eager"
KINDS = ("training", "inference")

Call = Callable[[], Tensor]


@dataclass(frozen=True)
class Way:
    """A configuration in which a network runs."""

    amp: str = "off"  # as `--amp`
    # Channels come first in memory, as in the published code, which also had `cudnn.benchmark` off.
    contiguous: bool = False
    mode: str = "off"  # as `--compile`
    folded: bool = False  # batch norms are in the convolutions, weights in the format of `amp`
    group_width: int = 1  # to which groups are joined
    gpu: bool = False  # whether it is for GPUs alone
    engine: str = ""  # program that runs it as an exported file on a CPU, a key of `ENGINES`; "" for torch
    int8: bool = False  # whether that file is quantised, by noise
    file: str = ""  # of export.py, of a network with weights of its own, in place of one that is made here

    @property
    def name(self) -> str:
        """Optimisations, shortest first; the published configuration is `ORIGINAL`."""
        if self.file:
            return self.file
        if self.engine:
            return f"{'int8' if self.int8 else 'fp32'}, {self.engine}"
        words = [{"off": "fp32"}.get(self.amp, self.amp)]
        words += ["contiguous"] * self.contiguous + ["folded"] * self.folded
        if self.group_width > 1:
            words.append("dense" if self.group_width == DENSE else f"groups of {self.group_width}")
        words.append("eager" if self.mode == "off" else f"compiled {self.mode}".removesuffix(" default"))
        return ", ".join(words)

    def runs_on(self, device: torch.device) -> bool:
        """Return whether a device, and the packages that are here, can run it."""
        if self.engine:
            return device.type == "cpu" and not missing_packages(self.engine, self.dtype)
        return device.type == "cuda" or not self.gpu

    @property
    def dtype(self) -> str:
        """Number format of its exported file."""
        return INT8 if self.int8 else "float32"

    def numerics(self) -> AbstractContextManager[object]:
        """Library settings under which it runs, but for those of `amp`."""
        return torch.backends.cudnn.flags(enabled=True, benchmark=not self.contiguous, allow_tf32=False)


TRAINING = (
    Way(contiguous=True),
    Way(),
    Way(amp="bf16", contiguous=True),
    Way(amp="bf16"),
    Way(mode="default"),
    Way(amp="bf16", mode="default"),
    Way(amp="tf32", contiguous=True, gpu=True),
    Way(amp="tf32", gpu=True),
    Way(amp="tf32", mode="default", gpu=True),
    Way(amp="fp16", gpu=True),
    Way(amp="fp16", mode="default", gpu=True),
    Way(amp="bf16", mode="max-autotune-no-cudagraphs", gpu=True),
)

INFERENCE = (
    *TRAINING,
    Way(folded=True),
    Way(folded=True, mode="default"),
    Way(amp="bf16", folded=True),
    Way(amp="bf16", folded=True, mode="default"),
    Way(amp="bf16", folded=True, group_width=16),
    Way(amp="bf16", folded=True, group_width=16, mode="default"),
    Way(amp="bf16", folded=True, group_width=DENSE, gpu=True),
    Way(amp="bf16", folded=True, group_width=DENSE, mode="default", gpu=True),
    Way(amp="bf16", folded=True, mode="reduce-overhead", gpu=True),
    Way(amp="bf16", folded=True, group_width=16, mode="reduce-overhead", gpu=True),
    Way(amp="fp16", folded=True, mode="default", gpu=True),
    *(Way(engine=engine, int8=int8) for engine in ENGINES for int8 in (False, True)),
)


def way_of_file(file: str) -> Way:
    """Return the way to run a file of export.py.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If no engine has files with this suffix.
    """
    if not Path(file).is_file():
        raise FileNotFoundError(f"--files {file}: no such file")
    engines = {engine.suffixes[0]: name for name, engine in ENGINES.items()}
    check_choice("--files", Path(file).suffix, engines)
    return Way(engine=engines[Path(file).suffix], file=file)


WAYS = dict(zip(KINDS, (TRAINING, INFERENCE), strict=True))


def call_of(kind: str, way: Way, model: StreamNetwork, clips: Tensor) -> Call:
    """Return the measured call of a kind: it takes the batch, uint8 (N, C, T, H, W), and returns its logits (N, K).

    Training is forward and backward pass; the step of the optimiser, which does not depend on the clips, is left out.
    The model is left as it is. Channels-first networks get clips normalised, as those of the published code did.
    """
    if way.engine:
        if way.file:
            exported = ENGINES[way.engine].open(Path(way.file), "cpu", torch.get_num_threads(), 1).run
        else:
            exported = exported_run(model, clips.shape[1:], way.engine, way.dtype)
        return lambda: exported({model.view: clips})["logits"]
    training, device = kind == "training", clips.device
    network = prepare(way, model, training, device)
    batch = {model.view: clips}
    floats = ((clips - model.mean) / model.std).contiguous()
    labels = torch.arange(len(clips), device=device) % model.num_classes

    def run() -> Tensor:
        with way.numerics(), torch.set_grad_enabled(training):
            with autocast(device, way.amp):
                logits = (network(floats) if way.contiguous else network(batch)).logits
            if training:
                network.zero_grad(set_to_none=True)
                F.cross_entropy(logits.float(), labels).backward()
        return logits.detach().float()

    return run


def prepare(way: Way, model: StreamNetwork, training: bool, device: torch.device) -> nn.Module:
    """Copy the network in this configuration; with channels first it takes normalised clips."""
    if way.contiguous:
        return copy.deepcopy(model.network).to(memory_format=torch.contiguous_format).train(training)
    if way.folded:
        dtype = dtype_of(device, way.amp)
        return inference_ready(model, dtype, compile_mode=way.mode, group_width=way.group_width)
    return compiled(copy.deepcopy(model).train(training), way.mode)
