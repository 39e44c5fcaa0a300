"""Options that a checkpoint states, taken where they were not given."""

from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import Any

from models.weights import shown_by

from .table import ARCHITECTURE, CLIP, DECLARED


def adopt(opt: Namespace, checkpoint: Mapping[str, Any], names: Sequence[str], source: str = "") -> Namespace:
    """Return the options, with those of `names` that were not given taken from the checkpoint.

    Published checkpoints store no options; then weights and `source`, the name of the file, may show some.
    """
    return Namespace(**vars(opt) | stated_in(checkpoint, [name for name in names if name not in opt.given], source))


def stated_in(checkpoint: Mapping[str, Any], names: Sequence[str], source: str = "") -> dict[str, Any]:
    """Return the values of those options of `names` that a checkpoint states, or its weights and its name show."""
    stored = shown_by(checkpoint, source) | checkpoint.get("options", {})
    return {name: stored[name] for name in names if name in stored and DECLARED[name].allows(stored[name])}


def as_trained(opt: Namespace, checkpoint: Mapping[str, Any], also: Sequence[str] = (), source: str = "") -> Namespace:
    """Return the options of a test that sees a checkpoint's clips, in its architecture; what was given stays.

    Size, length, stride, frame rate, resizing, rules of sampling, and the counterpart of the training's sampling.

    Args:
        opt: Options; `given` names those that were set.
        checkpoint: Its content; a published one states nothing, and the defaults are right for it.
        also: Names of further options to take from it.
        source: Name of its file, see `models.weights.shown_by`.
    """
    recipe = checkpoint.get("recipe", {})
    seen = {**checkpoint.get("options", {}), **recipe}
    seen.pop("test_sampling", None)  # of the training's own command, where it meant nothing
    seen |= recipe.get("test", {})
    return adopt(opt, {**checkpoint, "options": seen}, (*ARCHITECTURE, *CLIP, "test_sampling", *also), source)
