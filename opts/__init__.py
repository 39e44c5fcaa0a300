"""Parsing of the command line of the training and test scripts, and options that checkpoints state.

The namespace is read by the scripts and the `build_*` functions, never changed after parsing and never stored
in a class: classes take keyword arguments.
"""

import logging
import os
import sys
from argparse import Namespace
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from datasets import MODALITIES
from engine.command import cli, config
from models.backbones import spec_of
from models.backbones.arguments import OPTIONS, REQUIRED, arguments_from, arguments_of, split_layout
from models.weights import shown_by

from .checks import check, named_checkpoints
from .option import DISTILL, FUSED, SINGLE, TRAIN
from .table import (
    ARCHITECTURE,
    CHANGEABLE,
    CLIP,
    DECLARED,
    PROTOCOL,
    RECORDED,
    THIS_CALL,
    VALIDATION,
    VERIFIED,
    VIEWS,
    build_parser,
)

__all__ = [
    "ARCHITECTURE",
    "CHANGEABLE",
    "CLIP",
    "DATA_FOLDERS",
    "DISTILL",
    "FUSED",
    "PROTOCOL",
    "RECORDED",
    "SINGLE",
    "THIS_CALL",
    "TRAIN",
    "VALIDATION",
    "VERIFIED",
    "VIEWS",
    "adopt",
    "as_trained",
    "build_parser",
    "named_checkpoints",
    "parse_opts",
    "parse_with",
    "places_of",
    "stated_in",
]

log = logging.getLogger(__name__)

DATA_FOLDERS = ("frame_dir", "annotation_path")

# Once there were pre-trained weights the published scripts set these, whatever the options said.
FINE_TUNING = {"learning_rate": 0.001, "weight_decay": 1e-5}
FROM_SCRATCH = {"learning_rate": 0.1, "weight_decay": 1e-3}

# Samplers of training, validation and tests for what a network wants to see.
SAMPLING_OPTIONS = {
    "dense": {"train_sampling": "random", "val_sampling": "center", "test_sampling": "all"},
    "segments": {"train_sampling": "segments", "val_sampling": "segment_centers", "test_sampling": "segments"},
}


def parse_opts(
    argv: Sequence[str] | None = None,
    script: str | None = None,
    description: str | None = None,
) -> Namespace:
    """Parse `argv`, by default the command line; ends the program with one `error:` line if it cannot.

    Options of `script`, one of `SCRIPTS`, are accepted; None accepts those of all. Returns the values of the options of
    all scripts, those of others at their defaults. `given` names the options that were set; the others may come from a
    checkpoint, see `adopt`.
    """
    opt = parse_with(build_parser(script, description), argv)
    distils = len(MODALITIES[opt.modality]) > 1 or bool(opt.teacher)
    fine_tunes = bool(opt.pretrain_path) and not (distils and opt.dataset == "Kinetics")  # as the published scripts did
    for name, value in (FINE_TUNING if fine_tunes else FROM_SCRATCH).items():
        if getattr(opt, name) is None:
            setattr(opt, name, value)
            if fine_tunes:
                log.info(
                    "fine-tuning: --%s %s, as in the published scripts (give the option to change it)", name, value
                )
    return opt


def parse_with(parser: cli.ArgumentParser, argv: Sequence[str] | None = None) -> Namespace:
    """Parse as `parse_opts` does, with a parser that may have more options."""
    try:
        opt = config.parse(parser, sys.argv[1:] if argv is None else argv)
        for name, value in network_defaults(opt).items():
            setattr(opt, name, value)
        check(opt)
    except (ValueError, OSError) as error:
        parser.error(cli.one_line(error))
    return opt


def network_defaults(opt: Namespace) -> dict[str, Any]:
    """Return the options that follow from the network where they were not given.

    Clips are as it wants to see them, its arguments have the defaults of its constructor, and it may have no depth.
    """
    spec = spec_of(opt.model)
    seen, (layout, _) = spec.input_spec, split_layout(spec, arguments_from(opt, spec))
    channels = sum(stream.channels for stream in MODALITIES[opt.modality])
    step = layout.channels(channels) // channels  # a step of flow may be a stack of frames
    values = {"sample_duration": seen.frames * opt.segments * step, "sample_size": seen.size}
    values |= {"clip_stride": seen.stride, "segment_length": step}
    if seen.sampling == "dense" and opt.segments > 1:
        duration = opt.sample_duration if "sample_duration" in opt.given else values["sample_duration"]
        values["segment_length"] = max(duration // opt.segments, 1)
    arguments = {"depth": 0} | arguments_of(spec)
    values |= {OPTIONS[name]: d for name, d in arguments.items() if name in OPTIONS and d is not REQUIRED}
    values |= SAMPLING_OPTIONS["segments" if opt.segments > 1 else seen.sampling]
    return {name: value for name, value in values.items() if name not in opt.given}


def adopt(opt: Namespace, checkpoint: Mapping[str, Any], names: Sequence[str], source: str = "") -> Namespace:
    """Return the options, with those of `names` that were not given taken from the checkpoint.

    Published checkpoints store no options; then weights and `source`, the name of the file, may show some.
    """
    return Namespace(**vars(opt) | stated_in(checkpoint, [name for name in names if name not in opt.given], source))


def stated_in(checkpoint: Mapping[str, Any], names: Sequence[str], source: str = "") -> dict[str, Any]:
    """Return the values of those options of `names` that a checkpoint states, or its weights and its name show."""
    stored = shown_by(checkpoint, source) | checkpoint.get("options", {})
    return {name: stored[name] for name in names if name in stored and DECLARED[name].allows(stored[name])}


def as_trained(
    opt: Namespace,
    checkpoint: Mapping[str, Any],
    also: Sequence[str] = (),
    source: str = "",
    data: tuple[Mapping[str, Any], str] | None = None,
) -> Namespace:
    """Return the options of a test of a checkpoint on its data set and split, with its clips and its architecture.

    Those are size, length, stride, frame rate, resizing, rules of sampling, the counterpart of the training's sampling,
    the names `also`, and the folders of the training, if they still exist. What was given stays. A published checkpoint
    states nothing, and the defaults are right for it. `source` is the name of its file, see `models.weights.shown_by`.
    `data` are another checkpoint and its name, which states data set, split and folders.
    """
    recipe = checkpoint.get("recipe", {})
    stated = {**checkpoint.get("options", {}), **recipe}
    stated.pop("test_sampling", None)  # of the training's own command, where it meant nothing
    stated |= recipe.get("test", {})
    opt = adopt(opt, {**checkpoint, "options": stated}, (*ARCHITECTURE, *CLIP, "test_sampling", *also), source)
    described, name = data or (checkpoint, source)
    opt = adopt(opt, described, ("dataset", "split"), name)
    return Namespace(**vars(opt) | places_of(described, opt.given, name))


def places_of(checkpoint: Mapping[str, Any], given: Collection[str] = (), source: str = "") -> dict[str, str]:
    """Return the folders of a checkpoint's training, `frame_dir` and `annotation_path`, that still exist.

    Those `given` are left out, and a `layout` that is stated comes with the `frame_dir`. A folder that is missing is
    logged where the checkpoint has a name, `source`.
    """
    options = {name: x for name, x in checkpoint.get("options", {}).items() if name in (*DATA_FOLDERS, "layout")}
    stored = {name: x for name, x in options.items() if name not in given and DECLARED[name].allows(x)}
    # Path.exists raises where another user's folder may not be looked into.
    places = {name: stored[name] for name in DATA_FOLDERS if name in stored and os.path.exists(stored[name])}  # noqa: PTH110
    for name in [name for name in DATA_FOLDERS if source and name in stored.keys() - places.keys()]:
        log.warning("%s: its training had --%s %s, which is not there from here", source, name, stored[name])
    if "frame_dir" in places and "layout" in stored:
        places["layout"] = stored["layout"]
    return places
