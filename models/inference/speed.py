"""Faster networks: compiled, and for inference folded, in half precision and at one batch size."""

import copy
import os
import shutil
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..backbones import clip_shape
from ..backbones.contract import channels_last
from ..backbones.output import Output
from ..streams import StreamNetwork
from .folding import fold_batch_norms
from .grouped import widen_groups

COMPILE = ("off", "default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs")
COMPILERS = ("g++", "clang++", "c++")


def compiled(model: StreamNetwork, mode: str) -> StreamNetwork:
    """Have a network compiled at its first forward pass, minutes for a deep one, and return it; names of weights stay.

    In eval mode it fills up smaller batches to the largest so far, so that the last one is not compiled anew.

    Args:
        model: Changed in place. Its clips should all have one shape: each further one is compiled again.
        mode: One of `COMPILE`; see `torch.compile`.

    Raises:
        ValueError: If there is no such mode, or no C++ compiler.
    """
    if mode not in COMPILE:
        raise ValueError(f"--compile {mode}: choose one of {', '.join(COMPILE)}")
    if mode == "off":
        return model
    if not any(map(shutil.which, filter(None, (os.environ.get("CXX"), *COMPILERS)))):
        raise ValueError(f"--compile needs a C++ compiler ({', '.join(COMPILERS)}): install one or leave --compile out")
    model.network.compile(mode=mode)
    model.largest = 0
    return model


def inference_ready(
    model: StreamNetwork, dtype: torch.dtype = torch.float32, *, compile_mode: str = "off", group_width: int = 1
) -> nn.Module:
    """Return a copy of a network that gives the same logits sooner, and no gradients; raises as `compiled`.

    It is in eval mode, its batch norms are folded as far as they can be and its weights are in `dtype`. Compiled, it
    gives no features.

    Args:
        model: Left as it is.
        dtype: Of weights and activations: float32 changes logits in the sixth digit, bfloat16 in the third.
        compile_mode: As for `compiled`.
        group_width: As for `widen_groups`; 1 leaves groups as they are.
    """
    ready = copy.deepcopy(model).eval().requires_grad_(False)
    fold_batch_norms(ready.network, clip_shape(ready.network))
    widen_groups(ready.network, group_width)
    channels_last(ready.network.to(dtype))
    return ready if compile_mode == "off" else LogitsAlone(compiled(ready, compile_mode))


class LogitsAlone(nn.Module):
    """Gives logits that stay, and no features: outputs of CUDA graphs are overwritten when another network is run.

    Args:
        model: Takes batches of its view.
    """

    def __init__(self, model: StreamNetwork) -> None:
        super().__init__()
        self.model, self.stream, self.view = model, model.stream, model.view

    @property
    def num_classes(self) -> int:
        """Return the outputs of the classifier."""
        return self.model.num_classes

    def forward(self, batch: Mapping[str, Tensor]) -> Output:
        return Output(self.model(batch).logits.clone(), {})
