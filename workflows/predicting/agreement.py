"""Consistency of checkpoints that are used together on a video: metadata, classes and preprocessing."""

from collections.abc import Mapping, Sequence
from typing import Any

from datasets import STREAMS
from datasets.clips.crops import short_side_for
from datasets.stores.provenance import NOT_STATED, show

REQUIRED = {"options", "class_names", "recipe", "stream"}  # entries of a checkpoint that say how to use it
SLIDING = {"test_sampling": "all"}
CLIP_DEFAULTS = {"sampling": "corrected", "test": SLIDING}  # how clips are cut, unless a recipe says other
PER_NETWORK = ("stream", "view")  # entries of a recipe that may differ


def check_states(names: Sequence[str], states: Sequence[Mapping[str, Any]]) -> None:
    """Refuse, with ValueError, checkpoints of a published form, or of other classes than the first of them."""
    for name, state in zip(names, states, strict=True):
        if not state.keys() >= REQUIRED or state["stream"] not in STREAMS:
            raise ValueError(
                f"{name}: does not say how to use it, as checkpoints of train.py and STS_train.py do: test published "
                "weights with test_single_stream.py, export them with `utils1/checkpoint.py FILE --export "
                "FILE.safetensors`"
            )
        if not state["class_names"]:
            raise ValueError(f"{name}: was trained without labels, so it has no class names")
        if state["class_names"] != states[0]["class_names"]:
            raise ValueError(f"{name}: its classes are not those of {names[0]}: they cannot be used together")


def reads_flow(state: Mapping[str, Any]) -> bool:
    """Return whether a checkpoint's network reads what is made of flow."""
    return STREAMS[state["stream"]].is_flow


def common_recipe(paths: Sequence[str], states: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the preprocessing for all checkpoints; that of flow is of one that reads flow.

    Only the side of the input may differ: it is the first one's, and others see the same part of a frame at theirs.
    Raises ValueError if they need different clips or flow.
    """
    first = max(range(len(states)), key=lambda i: reads_flow(states[i]))
    recipe = states[first]["recipe"]
    for path, state in zip(paths, states, strict=True):
        other = state["recipe"]
        needs = {"sample_duration": (other["sample_duration"], recipe["sample_duration"])}
        needs |= {name: (other.get(name, 1), recipe.get(name, 1)) for name in ("clip_stride", "segment_length")}
        needs |= {f"--{key}": (other.get(key, x), recipe.get(key, x)) for key, x in CLIP_DEFAULTS.items()}
        short_side = short_side_for(other["sample_size"], recipe["sample_size"], recipe.get("short_side"))
        needs["--short_side"] = other.get("short_side"), short_side
        keys = ("fps", "short_side", *(("algorithm", "bound", "quantisation") if reads_flow(state) else ()))
        needs |= {key: tuple(part["provenance"].get(key, NOT_STATED) for part in (other, recipe)) for key in keys}
        for key, (here, there) in needs.items():
            # Frames of their own size are scaled like any others; their own rate is a rate.
            unstated = (NOT_STATED, None) if key == "short_side" else (NOT_STATED,)
            if here != there and here not in unstated and there not in unstated:
                raise ValueError(
                    f"{path}: made with {key} {show(here)}, {paths[first]} with {show(there)}; they cannot be fused"
                )
    return {name: value for name, value in recipe.items() if name not in PER_NETWORK}


def spread_over(recipe: Mapping[str, Any]) -> bool:
    """Return whether the frames of a clip are spread over a whole video, as in segments, and no sliding window."""
    return bool(recipe.get("test", SLIDING)["test_sampling"] == "segments")
