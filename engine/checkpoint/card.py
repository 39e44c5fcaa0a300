"""Model card of a checkpoint (Mitchell et al., 2019): its metadata as plain values."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from .tensor_file import DESCRIPTION, plain_name

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")  # of batch norms: tensors, but no parameters
NOT_OF_CLIP = ("normalisation", "provenance", "stream", "test")  # of a recipe: they have lines of their own, or follow


def card(state: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Describe a checkpoint, or bare weights, the most asked for first; None is what it does not state.

    Of the entries, "channels" are of a frame, "macs" of a clip, "epoch" is the last finished one and "epochs" those of
    the whole run, "batches" of the next one are done, "provenance" is of the images, "metrics" are of the validation,
    "changed" are the options that differ from their defaults as [value, default], and "holds" names the entries that
    are the state of a run. Raises ValueError if it is no checkpoint.
    """
    weights = tensors_of(state)
    if not weights and not any(name in state for name in DESCRIPTION):
        raise ValueError(f"{source}: holds neither weights nor a description")
    recipe, options = mapping(state, "recipe"), mapping(state, "options")
    names = state.get("class_names") or None
    first = next((weight for weight in weights.values() if weight.dim() > 2), None)  # a convolution
    last = next((weight for weight in reversed(weights.values()) if weight.dim() == 2), None)  # the classifier
    clip = {name: value for name, value in recipe.items() if name not in NOT_OF_CLIP}
    return {
        "file": source,
        "arch": state.get("arch"),
        "stream": state.get("stream"),
        "channels": None if first is None else first.shape[1],
        "classes": {"number": len(names) if names else None if last is None else last.shape[0], "names": names},
        "parameters": count_parameters(weights),
        "macs": state.get("macs"),
        "epoch": finished_epochs(state),
        "epochs": options.get("n_epochs"),
        "batches": state.get("step") or 0,
        "clip": clip or None,
        "normalisation": recipe.get("normalisation"),
        "provenance": recipe.get("provenance") or None,
        "dataset": options.get("dataset"),
        "split": options.get("split"),
        "data": mapping(state, "data") or None,
        "metrics": mapping(state, "metrics") or None,
        "tested": mapping(state, "tested") or None,
        "changed": changed_options(options, state),
        "options": dict(options) or None,
        "holds": [str(name) for name in state if name not in DESCRIPTION] if "state_dict" in state else [],
    }


def finished_epochs(state: Mapping[str, Any]) -> int | None:
    """Return the number of the last finished epoch, as in names and logs; None if it is not stated.

    Checkpoints of this project, STS-Net and MARS hold that of the next one, those of 3D-ResNets of 2020, which have a
    "scheduler", the finished one.
    """
    epoch, finished = state.get("epoch"), "options" not in state and "scheduler" in {*state, *left_behind(state)}
    return (epoch if finished else max(0, epoch - 1)) if isinstance(epoch, int) else None


def left_behind(state: Mapping[str, Any]) -> list[str]:
    """Return the entries that an exported network left behind in its checkpoint, if it states them."""
    names = state.get("left_behind")
    return list(map(str, names)) if isinstance(names, list | tuple) else []


def mapping(state: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return an entry that is a mapping; {} if it is another thing or not there."""
    value = state.get(name)
    return value if isinstance(value, Mapping) else {}


def tensors_of(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the weights by their plain names."""
    weights = state.get("state_dict", state)
    named = weights.items() if isinstance(weights, Mapping) else ()
    return {plain_name(str(name)): value for name, value in named if isinstance(value, Tensor)}


def count_parameters(weights: Mapping[str, Tensor]) -> int | None:
    """Count the numbers that are learned; None if there are no weights."""
    learned = [tensor.numel() for name, tensor in weights.items() if name.rsplit(".", 1)[-1] not in STATISTICS]
    return sum(learned) if learned else None


def changed_options(options: Mapping[str, Any], state: Mapping[str, Any]) -> dict[str, list[Any]] | None:
    """Return [value, default] by name of options that differ from their defaults, without those of the machine."""
    defaults = state.get("defaults")
    if not isinstance(defaults, Mapping):
        return None
    return {str(name): [options.get(name), defaults[name]] for name in sorted(defaults, key=str)}
