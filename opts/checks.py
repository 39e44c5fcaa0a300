"""Checks of what a training begins with, of what it keeps, and of which samplings."""

from argparse import Namespace
from collections.abc import Collection, Sequence

from models import DISTILLERS
from models.backbones import INFLATED, TIMM
from models.distill import labels_of, losses_for, parse_schedules, parse_shares, parse_teacher_losses
from models.motion import motion_schedules
from models.pretrained import RANDOM


def check_motion(motion: str, compile_mode: str, schedules: Sequence[str]) -> None:
    """Refuse options of motion that do not go together; ValueError names them and the cure."""
    if motion != "off" and compile_mode != "off":
        raise ValueError(f"--motion {motion}: its losses look into the network while it runs; leave out --compile")
    if schedules:
        if motion == "off":
            raise ValueError("--motion_schedule weighs what --motion alone and --motion joint learn: leave it out")
        motion_schedules(schedules)


def check_start(opt: Namespace) -> None:
    """Refuse options of the first weights, of batch norms and of weights of losses that do not go together.

    Raises:
        ValueError: Names the options and the cure.
    """
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
        names = [word.partition("=")[0] for word in opt.teacher or [""]]
        labels = labels_by_options(names, opt.distill, opt.teacher_losses or (), opt.ce_weight)
        parse_schedules(opt.loss_schedule, labels)
        parse_shares(opt.balance, labels)


def labels_by_options(
    names: Sequence[str], losses: Sequence[str], special: Sequence[str], ce_weight: float
) -> list[str]:
    """Return the labels of the losses of teachers of these names, "" of the one without, and of the cross-entropy.

    Args:
        names: Of the teachers.
        losses: Of `--distill`.
        special: Of `--teacher_losses`, in place of those.
        ce_weight: Of the cross-entropy.

    Raises:
        ValueError: As `parse_teacher_losses`.
    """
    parsed = parse_teacher_losses(special, DISTILLERS)
    return labels_of({name: [loss for loss, _ in losses_for(name, losses, parsed)] for name in names}, ce_weight)


def samplings(given: Collection[str]) -> tuple[str, ...]:
    """Return the options of samplings that play a part: given ones of training leave out a test's, and vice versa."""
    if "train_sampling" in given:
        return "train_sampling", "val_sampling"
    return ("test_sampling",) if "test_sampling" in given else ("train_sampling", "val_sampling", "test_sampling")
