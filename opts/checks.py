"""Checks of combinations of options, after parsing."""

from argparse import Namespace
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from datasets import MODALITIES
from datasets.clip_options import check_multiple, check_stride
from engine.command import naming
from models import DISTILLERS
from models.backbones import INFLATED, TIMM, check_options
from models.backbones.arguments import OPTIONS
from models.distill import labels_of, losses_for, parse_schedules, parse_shares, parse_teacher_losses
from models.motion import motion_schedules
from models.normalisation import fits
from models.pretrained import RANDOM

AT_LEAST_ONE = (
    *("batch_size", "clips_per_batch", "sample_size", "sample_duration", "clip_stride", "segment_length", "num_clips"),
    *("checkpoint", "n_epochs", "iter_size"),
)
NUMBERS = (*AT_LEAST_ONE, "ft_begin_index", "manual_seed", "max_bad", "video_fps")  # whose range is checked here


def check(opt: Namespace) -> None:
    """Refuse options that cannot work together; raises ValueError, which names them and the cure."""
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

    Raises ValueError if a word is none of these, or a name comes twice.
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


def check_motion(motion: str, compile_mode: str, schedules: Sequence[str]) -> None:
    """Refuse options of motion that do not go together; raises as `check`."""
    if motion != "off" and compile_mode != "off":
        raise ValueError(f"--motion {motion}: its losses look into the network while it runs; leave out --compile")
    if schedules:
        if motion == "off":
            raise ValueError("--motion_schedule weighs what --motion alone and --motion joint learn: leave it out")
        motion_schedules(schedules)


def check_start(opt: Namespace) -> None:
    """Refuse options of the first weights, batch norms and loss weights that do not go together; raises as `check`."""
    if opt.init != RANDOM and opt.pretrain_path:
        raise ValueError("--init and --pretrain_path both say what a network begins with: leave one of them out")
    if opt.keep_classifier and (not opt.pretrain_path or opt.n_finetune_classes):
        raise ValueError("--keep_classifier needs --pretrain_path, and no --n_finetune_classes")
    if opt.freeze_affine and not (opt.partial_BN or opt.freeze_BN):
        raise ValueError("--freeze_affine goes with --partial_BN or --freeze_BN, which say of which batch norms")
    if opt.freeze_BN and not (opt.pretrain_path and opt.ft_begin_index):
        raise ValueError("--freeze_BN freezes below --ft_begin_index, so it needs --pretrain_path and an index >= 1")
    if opt.sync_bn and opt.model.startswith(f"{INFLATED}{TIMM}"):  # the conversion would lose the activations
        raise ValueError(f"--sync_bn: batch norms of --model {opt.model} may have activations in them: leave it out")
    if opt.loss_schedule or opt.balance:
        teachers = [word.partition("=")[0] for word in opt.teacher or [""]]  # "" is the one without a name
        special = parse_teacher_losses(opt.teacher_losses or (), DISTILLERS)
        losses = {name: [loss for loss, _ in losses_for(name, opt.distill, special)] for name in teachers}
        labels = labels_of(losses, opt.ce_weight)
        parse_schedules(opt.loss_schedule, labels)
        parse_shares(opt.balance, labels)


def samplings(given: Collection[str]) -> tuple[str, ...]:
    """Return the options of samplings that play a part: given ones of training leave out a test's, and vice versa."""
    if "train_sampling" in given:
        return "train_sampling", "val_sampling"
    return ("test_sampling",) if "test_sampling" in given else ("train_sampling", "val_sampling", "test_sampling")
