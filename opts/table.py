"""Table of all options of the training and test scripts, and the parser of each script that follows from it.

The options that STS-Net and MARS have keep their names.
"""

import argparse
from collections.abc import Sequence

from engine.command.cli import ArgumentParser, ElsewhereOption

from .data import add_augment_options, add_clip_options, add_data_options, add_loading_options
from .distillation import add_distillation_options, add_loss_options
from .network import add_frozen_options, add_model_options, add_resume_options, add_weights_options
from .option import SINGLE, Option, OptionTable
from .run import add_device_options, add_run_options, add_schedule_options, add_training_options
from .testing import add_fusion_options, add_test_options


def collect_options() -> tuple[Option, ...]:
    """Return every option, in the order of `--help`."""
    table = OptionTable()
    for add_options in (
        *(add_data_options, add_clip_options, add_augment_options, add_loading_options),
        *(add_model_options, add_weights_options, add_frozen_options, add_resume_options),
        *(add_training_options, add_schedule_options, add_distillation_options, add_loss_options),
        *(add_test_options, add_fusion_options, add_run_options, add_device_options),
    ):
        add_options(table)
    return tuple(table.options)


OPTIONS = collect_options()
DECLARED = {option.name: option for option in reversed(OPTIONS)}  # the first of several names of one


def names(*roles: str, script: str | None = None) -> tuple[str, ...]:
    """Return the names of the options of some roles, each once; with `script` only those that it reads."""
    accepted = [option for option in OPTIONS if option.default != argparse.SUPPRESS]  # the others are refused
    return tuple(dict.fromkeys(o.name for o in accepted if o.role in roles and script in (None, *o.scripts)))


# Of this machine and this call: never taken from a checkpoint. Data may have moved; whether they are
# the same is seen from class names and from what the extraction wrote down.
THIS_CALL = frozenset(("given", *names("machine", "view", "fusion")))
# Of the run, but a run may go on with others. All other options are fixed: a new one is until it says otherwise.
CHANGEABLE = frozenset(option.name for option in OPTIONS if option.free)
ARCHITECTURE = names("network")
CLIP = names("clip", script=SINGLE)  # of those, what a test cuts clips by
VIEWS = names("view")
# What makes two accuracies unlike; the number of frames of a clip is part of it, also where streams need unlike ones.
PROTOCOL = (*names("clip", "view", script=SINGLE), "only_RGB", "amp")
# What was scored, how, and where the data are.
RECORDED = (*names("data", "clip", "view", script=SINGLE), "amp", "manual_seed", "normalisation")
RECORDED += ("frame_dir", "layout", "annotation_path")
# What the loss and accuracy of a validation depend on.
VALIDATION = (*ARCHITECTURE, *names("data", "clip"), "manual_seed", "batch_size", "amp", "ce_weight")
VERIFIED = (*ARCHITECTURE, *names("data", "clip", "view", script=SINGLE), "amp")


def build_parser(script: str | None = None, description: str | None = None, also: Sequence[str] = ()) -> ArgumentParser:
    """Build the parser of a script; the options of others are refused by name, and keep their defaults.

    None takes the options of all scripts; `also` names options that a tool takes beyond those of its script.
    """
    parser = ArgumentParser(description=description, usage="%(prog)s [options]")  # all of them would fill a page
    groups: dict[str, argparse._ArgumentGroup] = {}
    for option in OPTIONS:
        if script in (None, *option.scripts) or option.name in also:
            group = groups.get(option.group) or parser.add_argument_group(option.group)
            groups[option.group] = group
            group.add_argument(*option.flags, **option.settings)
        else:
            refuse(parser, option)
    return parser


def refuse(parser: ArgumentParser, option: Option) -> None:
    """Make a parser name the scripts that take an option, and leave the option at its default."""
    parser.add_argument(
        *option.flags,
        action=ElsewhereOption,
        const=f"has no effect here, it is an option of {' and '.join(option.scripts)}: leave it out",
        dest=f"{option.name} elsewhere",
        nargs="*",
        default=argparse.SUPPRESS,
        help=argparse.SUPPRESS,
    )
    if option.settings.get("action") != "store_const":  # another name of an option, which has the default
        parser.set_defaults(**{option.name: option.default})
