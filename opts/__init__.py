"""Parsing of the command line of the training and test scripts, and checks of combinations of their options.

The namespace is read by the scripts and the `build_*` functions, never changed after parsing and never stored
in a class: classes take keyword arguments.
"""

import logging
import sys
from argparse import Namespace
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from datasets import MODALITIES
from datasets.clip_options import check_multiple, check_stride
from engine.command import cli, config, naming
from models.backbones import check_options, spec_of
from models.backbones.arguments import OPTIONS, REQUIRED, arguments_from, arguments_of, split_layout
from models.normalisation import fits
from models.weights import shown_by

from .checks import check_motion, check_start, samplings
from .option import DISTILL, FUSED, SINGLE, TRAIN
from .table import (
    ARCHITECTURE,
    CLIP,
    DECLARED,
    FREE,
    HERE,
    PROTOCOL,
    STATED,
    TESTED,
    VALIDATION,
    VIEWS,
    build_parser,
)

__all__ = [
    "ARCHITECTURE",
    "CLIP",
    "DISTILL",
    "FREE",
    "FUSED",
    "HERE",
    "PROTOCOL",
    "SINGLE",
    "STATED",
    "TESTED",
    "TRAIN",
    "VALIDATION",
    "VIEWS",
    "adopt",
    "as_trained",
    "build_parser",
    "check",
    "named_checkpoints",
    "parse_opts",
    "parse_with",
    "stated_in",
]

log = logging.getLogger(__name__)

# Once there were pre-trained weights the published scripts set these, whatever the options said.
FINE_TUNING = {"learning_rate": 0.001, "weight_decay": 1e-5}
FROM_SCRATCH = {"learning_rate": 0.1, "weight_decay": 1e-3}

# Samplers of training, validation and tests for what a network wants to see.
SAMPLED = {
    "dense": {"train_sampling": "random", "val_sampling": "center", "test_sampling": "all"},
    "segments": {"train_sampling": "segments", "val_sampling": "segment_centers", "test_sampling": "segments"},
}
AT_LEAST_ONE = (
    *("batch_size", "clips_per_batch", "sample_size", "sample_duration", "clip_stride", "segment_length", "num_clips"),
    *("checkpoint", "n_epochs", "iter_size"),
)
NUMBERS = (*AT_LEAST_ONE, "ft_begin_index", "manual_seed", "max_bad", "video_fps")  # whose range is checked here


def parse_opts(
    argv: Sequence[str] | None = None,
    script: str | None = None,
    description: str | None = None,
    also: Sequence[str] = (),
) -> Namespace:
    """Parse `argv`, by default the command line; ends the program with one `error:` line if it cannot.

    Args:
        argv: The words.
        script: One of `SCRIPTS`, whose options are accepted; None accepts those of all.
        description: Head of `--help`.
        also: Names of options that a tool takes beyond those of the script.

    Returns:
        Values of the options of all scripts, those of others at their defaults. `given` names the options that were
        set; the others may come from a checkpoint, see `adopt`.
    """
    opt = parse_with(build_parser(script, description, also), argv)
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
        for name, value in wanted(opt).items():
            setattr(opt, name, value)
        check(opt)
    except (ValueError, OSError) as error:
        parser.error(cli.one_line(error))
    return opt


def wanted(opt: Namespace) -> dict[str, Any]:
    """Return the options that follow from the network where they were not given.

    Clips are as it wants to see them, its arguments have the defaults of its constructor, and it may have no depth.
    """
    spec = spec_of(opt.model)
    view, (layout, _) = spec.view, split_layout(spec, arguments_from(opt, spec))
    channels = sum(stream.channels for stream in MODALITIES[opt.modality])
    step = layout.channels(channels) // channels  # a step of flow may be a stack of frames
    values = {"sample_duration": view.frames * opt.segments * step, "sample_size": view.size}
    values |= {"clip_stride": view.stride, "segment_length": step}
    if view.sampling == "dense" and opt.segments > 1:
        duration = opt.sample_duration if "sample_duration" in opt.given else values["sample_duration"]
        values["segment_length"] = max(duration // opt.segments, 1)
    arguments = {"depth": 0} | arguments_of(spec)
    values |= {OPTIONS[name]: d for name, d in arguments.items() if name in OPTIONS and d is not REQUIRED}
    values |= SAMPLED["segments" if opt.segments > 1 else view.sampling]
    return {name: value for name, value in values.items() if name not in opt.given}


def check(opt: Namespace) -> None:
    """Refuse options that cannot work together.

    Raises:
        ValueError: Names the options and the cure.
    """
    if opt.run_name is not None:
        naming.checked_name(opt.run_name)
    check_numbers({name: getattr(opt, name) for name in NUMBERS})
    check_start(opt)
    check_motion(opt.motion, opt.compile, opt.motion_schedule)
    of_network = {name: getattr(opt, name) for name in OPTIONS.values() if name in opt.given}
    check_options(opt.model, of_network, opt.model_args)
    check_streams(opt)
    check_tests(opt)
    check_multiple(opt.sample_duration, opt.segment_length)
    for name in samplings(opt.given):
        check_stride(name, getattr(opt, name), opt.clip_stride, opt.segment_length)


def check_numbers(numbers: Mapping[str, float]) -> None:
    """Refuse numbers out of range, the values of `NUMBERS` by name; raises as `check`."""
    for name in AT_LEAST_ONE:
        if numbers[name] < 1:
            raise ValueError(f"--{name} must be >= 1, got {numbers[name]}")
    if numbers["ft_begin_index"] < 0:
        raise ValueError(f"--ft_begin_index must be >= 0, got {numbers['ft_begin_index']}")
    if not 0 <= numbers["manual_seed"] < 2**31 or numbers["max_bad"] < 0 or not 0 <= numbers["video_fps"] < 1000:
        raise ValueError("--manual_seed must be in [0, 2**31), --max_bad >= 0, --video_fps in (0, 1000) or source")


def check_streams(opt: Namespace) -> None:
    """Refuse options that do not go with `--modality`; raises as `check`."""
    streams = MODALITIES[opt.modality]
    channels = sum(stream.channels for stream in streams)
    if opt.input_channels not in (None, channels):
        raise ValueError(
            f"--input_channels {opt.input_channels}: --modality {opt.modality} has {channels}; leave it out"
        )
    if not opt.stream and not fits(opt.normalisation, streams):
        raise ValueError(f"--normalisation {' '.join(opt.normalisation)}: has no values for --modality {opt.modality}")
    if opt.flow_source == "online" and len(streams) == 1 and not opt.teacher:
        raise ValueError(
            f"--flow_source online is for STS_train.py --modality RGB_Flow; --modality {opt.modality} reads files: "
            "leave it out"
        )
    if (opt.mixup or opt.cutmix) and len(streams) > 1:
        raise ValueError(
            "--mixup and --cutmix are for train.py: distillation compares student and teacher on the same clips, and "
            "dkd needs one class per clip: leave them out"
        )


def check_tests(opt: Namespace) -> None:
    """Refuse options that no test can satisfy; raises as `check`."""
    named_checkpoints(opt.stream or ())
    paths = [name for name in ("resume_path1", "resume_path2", "resume_path3") if getattr(opt, name)]
    if opt.stream and paths:
        raise ValueError(f"--stream and --{paths[0]} both name checkpoints: use one of them")
    if opt.scores and (opt.stream or paths):
        raise ValueError("--scores fuses what was scored before: leave out the checkpoints, or score them first")
    if opt.use and not opt.scores:
        raise ValueError("--use chooses streams of score files: it needs --scores")
    if opt.use and (twice := [name for name, count in Counter(opt.use).items() if count > 1]):
        raise ValueError(f"--use: {twice[0]} is named twice")
    if opt.clip_mean == "after" and opt.fusion == "all":
        raise ValueError("--clip_mean after keeps one activation: choose one with --fusion")
    if opt.test_subset == "val" and opt.val_fraction == 0:
        raise ValueError("--test_subset val: --val_fraction 0 holds no training videos out")


def named_checkpoints(words: Sequence[str], option: str = "--stream") -> dict[str, str]:
    """Parse checkpoint files by stream, in order, from words of an option like "rgb=a.pth".

    Raises:
        ValueError: If a word is none of these, or a name comes twice.
    """
    named: dict[str, str] = {}
    for word in words:
        name, _, path = word.partition("=")
        if not name.strip() or not path:
            raise ValueError(f"{option} {word}: expected NAME=CHECKPOINT, like rgb=rgb.pth")
        if name in named:
            raise ValueError(f"{option} {word}: there is {name}={named[name]} already; choose another name")
        named[name] = path
    return named


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
