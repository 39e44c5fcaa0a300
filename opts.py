"""Parsing the command line of the training and test scripts, and what their options cannot be together.

The namespace is read by the scripts and the `build_*` functions, never changed after parsing and never stored
in a class: classes take keyword arguments.
"""

import logging
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import Any

from datasets import MODALITIES
from engine import cli, config
from options import build_parser

log = logging.getLogger(__name__)

# Once there were pre-trained weights the published scripts set these, whatever the options said.
FINE_TUNING = {"learning_rate": 0.001, "weight_decay": 1e-5}
FROM_SCRATCH = {"learning_rate": 0.1, "weight_decay": 1e-3}

AT_LEAST_ONE = (
    *("batch_size", "clips_per_batch", "sample_size", "sample_duration", "clip_stride", "num_clips"),
    *("checkpoint", "n_epochs", "iter_size"),
)


def parse_opts(argv: Sequence[str] | None = None) -> Namespace:
    """Parse `argv`, by default the command line; ends the program with one `error:` line if it cannot.

    `given` names the options that were set; the others may come from a checkpoint, see `adopt`.
    """
    parser = build_parser()
    try:
        opt = config.parse(parser, sys.argv[1:] if argv is None else argv)
        check(opt)
    except (ValueError, OSError) as error:
        parser.error(cli.one_line(error))
    for name, value in (FINE_TUNING if fine_tunes(opt) else FROM_SCRATCH).items():
        if getattr(opt, name) is None:
            setattr(opt, name, value)
            if fine_tunes(opt):
                log.info(
                    "fine-tuning: --%s %s, as in the published scripts (give the option to change it)", name, value
                )
    return opt


def fine_tunes(opt: Namespace) -> bool:
    """Whether the fine-tuning defaults apply: with pre-trained weights, except when distilling on Kinetics."""
    distils = len(MODALITIES[opt.modality]) > 1
    return bool(opt.pretrain_path) and not (distils and opt.dataset == "Kinetics")


def check(opt: Namespace) -> None:
    """Refuse what cannot work.

    Raises:
        ValueError: Names the options and the cure.
    """
    check_numbers(opt)
    check_streams(opt)
    for name in ("train_sampling", "val_sampling", "test_sampling"):
        if opt.clip_stride > 1 and getattr(opt, name).startswith("segment"):
            raise ValueError(f"--{name} {getattr(opt, name)} spans the video: leave out --clip_stride")
    if opt.freeze_BN and not (opt.pretrain_path and opt.ft_begin_index):
        raise ValueError("--freeze_BN freezes below --ft_begin_index, so it needs --pretrain_path and an index >= 1")


def check_numbers(opt: Namespace) -> None:
    """Refuse numbers out of range; raises as `check`."""
    for name in AT_LEAST_ONE:
        if getattr(opt, name) < 1:
            raise ValueError(f"--{name} must be >= 1, got {getattr(opt, name)}")
    if not 0 <= opt.manual_seed < 2**31 or opt.max_bad < 0 or not 0 <= opt.video_fps < 1000:
        raise ValueError("--manual_seed must be in [0, 2**31), --max_bad >= 0, --video_fps in [0, 1000)")


def check_streams(opt: Namespace) -> None:
    """Refuse what does not go with `--modality`; raises as `check`."""
    streams = MODALITIES[opt.modality]
    channels = sum(stream.channels for stream in streams)
    if opt.input_channels not in (None, channels):
        raise ValueError(
            f"--input_channels {opt.input_channels}: --modality {opt.modality} has {channels}; leave it out"
        )
    if opt.flow_source == "online" and len(streams) == 1:
        raise ValueError(
            f"--flow_source online is for STS_train.py --modality RGB_Flow; --modality {opt.modality} reads files: "
            "leave it out"
        )
    if (opt.mixup or opt.cutmix) and len(streams) > 1:
        raise ValueError(
            "--mixup and --cutmix are for train.py: distillation compares student and teacher on the same clips, and "
            "dkd needs one class per clip: leave them out"
        )


def adopt(opt: Namespace, checkpoint: Mapping[str, Any], names: Sequence[str]) -> Namespace:
    """Options in which those of `names` that were not given are as the checkpoint was made with.

    Published checkpoints store no options; then they stay as they are.
    """
    stored = checkpoint.get("options", {})
    own = vars(opt)
    known = {n: stored[n] for n in names if n in stored and n not in opt.given and type(stored[n]) is type(own[n])}
    return Namespace(**own | known)
