"""Published weights: by what names a network knows its own, in its words and in those of others."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor

Weights = Mapping[str, Tensor]


class ByNames:
    """The part of the contract of networks that tells whose weights are which; a mixin of `Backbone`.

    Attributes:
        first_conv: The first convolution.
        classifier: The linear layer that gives the logits of `POOLED`.
        dialects: Published forms of the weights' names: {what they are called: {beginning of a name: in its place}};
            None leaves out what the network has not got.
        dialect_arguments: What else whoever wrote a dialect did otherwise: arguments, by dialect.
        kernel_dims: Dimensions of the kernel of the first convolution, 2 or 3; None where its weights do not tell the
            network from others of the same names.
        marks: Weights by which the network is told from others with as many dimensions and the same names beside.
    """

    classifier: ClassVar[str]
    first_conv: ClassVar[str]
    dialects: ClassVar[Mapping[str, Mapping[str, str | None]]] = {}
    dialect_arguments: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    kernel_dims: ClassVar[int | None] = None
    marks: ClassVar[Sequence[str]] = ()

    @classmethod
    def shown_by(cls, weights: Weights, width: float = 1.0) -> dict[str, Any]:
        """Return the arguments that weights, by their own names, show; `width` is taken where it fits them."""
        return {}

    @classmethod
    def left_open(cls, arguments: Mapping[str, Any]) -> Sequence[str]:
        """Return the arguments, with others as they are, that weights do not show and that change what they compute."""
        return ()

    @classmethod
    def in_dialect(cls, weights: Weights) -> dict[str, Tensor] | None:
        """Return weights of any of the dialects by their own names; None if they are those of another network."""
        return cls.read_dialect(weights)[1]

    @classmethod
    def read_dialect(cls, weights: Weights) -> tuple[str, dict[str, Tensor] | None]:
        """Return the dialect of weights, "" for their own names, and them by these names; None as `in_dialect`."""
        needed = {f"{cls.first_conv}.weight", f"{cls.classifier}.weight"}
        dialects: dict[str, Mapping[str, str | None]] = {"": {}, **cls.dialects}
        for dialect, renamings in dialects.items():
            named = {renamed(name, renamings): tensor for name, tensor in weights.items()}
            named.pop("", None)
            if needed <= named.keys():
                return dialect, named
        return "", None

    @classmethod
    def may_be(cls, weights: Weights) -> bool:
        """Return whether weights have the names and dimensions of this network's."""
        renamed = cls.in_dialect(weights)
        if renamed is None or any(mark not in renamed for mark in cls.marks):
            return False
        return cls.kernel_dims in (None, renamed[f"{cls.first_conv}.weight"].dim() - 2)


def renamed(name: str, renamings: Mapping[str, str | None]) -> str:
    """Return a name whose beginning is put in other words; "" if it is left out."""
    known = ((begin, words) for begin, words in renamings.items() if name.startswith(begin))
    return next(("" if words is None else words + name.removeprefix(begin) for begin, words in known), name)
