"""Options that a checkpoint states, taken where they were not given."""

from argparse import Namespace
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from models.weights import shown_by

from .table import ARCHITECTURE, CLIP, DECLARED

PLACES = ("frame_dir", "annotation_path")


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
    """Return the options of a test of a checkpoint on its data set and split, with its clips and its architecture.

    Those are size, length, stride, frame rate, resizing, rules of sampling, the counterpart of the training's
    sampling, and its folders, if they still exist. What was given stays.

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
    names = (*ARCHITECTURE, *CLIP, "dataset", "split", "test_sampling", *also)
    opt = adopt(opt, {**checkpoint, "options": seen}, names, source)
    return Namespace(**vars(opt) | places_of(checkpoint, opt.given))


def places_of(checkpoint: Mapping[str, Any], given: Collection[str] = ()) -> dict[str, str]:
    """Return the folders of a checkpoint's training, `frame_dir` and `annotation_path`, that still exist.

    Those `given` are left out, and a `layout` that is stated comes with the `frame_dir`.
    """
    stored = checkpoint.get("options", {})
    paths = {name: stored[name] for name in PLACES if name in stored and name not in given}
    places = {name: path for name, path in paths.items() if isinstance(path, str) and Path(path).exists()}
    if "frame_dir" in places and "layout" in stored and "layout" not in given:
        places["layout"] = stored["layout"]
    return places
