"""Session of a training script: the start of a run, and its course to the end."""

import logging
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch

from datasets import ClipLoader, VideoDataset, parse_view
from datasets.records.fingerprint import describe_videos
from engine import Run, checkpoint, dtype_of, find_start, is_main, resumed_options, run_epochs
from engine.command.naming import RunFiles
from engine.training.fit import TRAIN_COLUMNS, Loader
from engine.training.optim import Groups
from engine.training.run import check_is_newest
from models import Distill, StreamNetwork, compiled, estimate, parameter_groups
from models.analysis.flops import Costs
from models.tasks import Task
from opts import ARCHITECTURE, CHANGEABLE, THIS_CALL, adopt, parse_opts

from .next_step import next_lines

log = logging.getLogger(__name__)

# Costs of a network, and the clip, learning parameters and mode they are of: counting a deep one takes half a second.
COSTS: WeakKeyDictionary[StreamNetwork, tuple[tuple[Any, ...], Costs]] = WeakKeyDictionary()
MOTION_TERMS = ("loss_photometric", "loss_smoothness", "loss_ssim")
# Columns of the log of train.py -> metrics, by `--motion`.
COLUMNS = {
    "off": TRAIN_COLUMNS,
    "alone": {name: name for name in ("epoch", "loss", *MOTION_TERMS, "still", "still_ssim", "lr")},
    "joint": {name: name for name in ("epoch", "loss", *MOTION_TERMS, "loss_ce", "acc", "lr")},
}


class Start(NamedTuple):
    """Starting point of a run."""

    opt: Namespace  # options as used: those that were not given are taken from the checkpoint
    state: Mapping[str, Any]  # content of the checkpoint, empty from scratch
    source: str  # its name
    resuming: bool  # whether it is one of the same run


def choose_start(opt: Namespace, resume: str, files_of: Callable[[Namespace], RunFiles]) -> Start:
    """Choose the checkpoint to resume from, or the pre-trained one, or none.

    `resume` is a checkpoint of this run, "auto" for its newest good one, or ""; `files_of` names the files of a run by
    its options.

    Raises:
        FileNotFoundError: If a checkpoint is missing.
        ValueError: If one is damaged, of a run with other data, network or seed options, or not its newest.
    """
    pretrained = checkpoint.load(opt.pretrain_path) if opt.pretrain_path else {}
    opt = adopt(opt, pretrained, ARCHITECTURE, opt.pretrain_path)
    state, source = find_start(resume, files_of(opt))
    if source:
        options = resumed_options(
            *(state, vars(opt), source), given=opt.given, here=THIS_CALL, free=CHANGEABLE, anyway=opt.resume_anyway
        )
        opt = Namespace(**options)
        if resume != "auto":
            check_is_newest(state, source, files_of(opt))
        return Start(opt, state, source, True)
    return Start(opt, pretrained, opt.pretrain_path, False)


def task_groups(task: Task, begin_index: int, learning_rate: float, lr_multiples: str = "off") -> Groups:
    """Return the parameter groups of a task: of its network, see `parameter_groups`, and of its losses."""
    groups = parameter_groups(task.model.network, begin_index, learning_rate, lr_multiples)
    if learnable := task.loss_parameters():
        groups.append({"params": learnable, "lr": learning_rate})
    return groups


def describe_data(train: ClipLoader, val: ClipLoader) -> dict[str, Any]:
    """Return the description of the videos in use by subset; {} for data sets that are not of videos."""
    datasets = {"train": train.dataset, "val": val.dataset}
    return {
        subset: describe_videos(dataset) for subset, dataset in datasets.items() if isinstance(dataset, VideoDataset)
    }


def run_info(
    model: StreamNetwork,
    names: Sequence[str],
    recipe: Mapping[str, Any],
    *,
    data: Mapping[str, Any],
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the metadata of a run for its checkpoints, in plain values.

    The `names` are those of the classes, `data` as of `describe_data`, `options` all of the run's or some. The recipe
    has "sample_duration" and "sample_size" at least; if the network reads a view of another side, that is its size.

    Returns:
        "arch", "stream", "class_names", "network", its {"name", "args"}, "recipe", "parameters", "macs" of a clip,
        "data", and "defaults", those of the options that differ from them; options of this machine and this call have
        none.
    """
    recipe = {**recipe, "sample_size": parse_view(model.view).side or recipe["sample_size"]}
    costs, defaults = costs_of(model, recipe), vars(parse_opts([]))
    return {
        "arch": model.network.arch,
        "stream": model.stream,
        "class_names": list(names),
        "network": dict(model.network.origin),
        "recipe": {**recipe, "stream": model.stream, "view": model.view, "normalisation": model.normalisation},
        "parameters": costs.parameters,
        "macs": costs.flops_forward // 2,
        "data": dict(data),
        "defaults": {
            name: value
            for name, value in defaults.items()
            if name not in THIS_CALL and options.get(name, value) != value
        },
    }


def costs_of(model: StreamNetwork, recipe: Mapping[str, Any]) -> Costs:
    """Count the cost of a clip of this recipe; once for a network of which the same parameters learn."""
    side, learns = recipe["sample_size"], tuple(p.requires_grad for p in model.network.parameters())
    shape = (model.mean.numel(), recipe["sample_duration"], side, side)
    key = shape, learns, model.network.training
    if model not in COSTS or COSTS[model][0] != key:
        COSTS[model] = key, estimate(model.network, shape)
    return COSTS[model][1]


def log_columns(student: str, teachers: Sequence[str], *, classes: bool = True) -> dict[str, str]:
    """Return column of the published training log -> metric: the total, the feature loss, the cross-entropy.

    Where teachers have names, all terms of each are in the place of the feature loss. Without `classes` there is
    neither cross-entropy nor accuracy.
    """
    of_teachers = {f"loss_{name}": f"loss_{name}" for name in teachers if name} or {"loss_MSE": "loss_mse"}
    of_classes = {f"loss_{student}": "loss_ce", "acc": "acc"} if classes else {}
    return {"epoch": "epoch", "loss": "loss", **of_teachers, **of_classes, "lr": "lr"}


def complete(
    run: Run,
    model: StreamNetwork,
    train: Loader,
    val: Loader,
    columns: Mapping[str, str] = TRAIN_COLUMNS,
    *,
    compile_mode: str = "off",
) -> dict[str, float]:
    """Train a run that states all its options as `train_to_end`, and log the next commands.

    Returns:
        "acc", the validation accuracy of the best epoch, in [0, 1].
    """
    train_to_end(run, model, train, val, columns, compile_mode=compile_mode)
    if is_main():
        best = run.best if run.info["class_names"] else None
        for line in next_lines(run.files, best, run.info["options"]):
            log.info(line)
    return {"acc": run.best.accuracy}


def train_to_end(
    run: Run,
    model: StreamNetwork,
    train: Loader,
    val: Loader,
    columns: Mapping[str, str] = TRAIN_COLUMNS,
    *,
    compile_mode: str = "off",
) -> None:
    """Train a run, fresh or resumed, to the last epoch, with the cost of a clip in the log.

    The `columns` are those of the training log, see `TsvLog`; `compile_mode` is a key of `COMPILE`.
    """
    costs = costs_of(model, run.info["recipe"])
    compiled(model, compile_mode)
    with quick_teachers(run):
        run_epochs(run, train, val, columns, clip_flops=costs.flops_training, clip_bytes=costs.activation_bytes)


def quick_teachers(run: Run) -> AbstractContextManager[None]:
    """Have teachers run in their quickest form in mixed precision on a GPU; elsewhere as they are, to the last bit."""
    dtype = dtype_of(run.device, run.settings.amp)
    if not isinstance(run.task, Distill) or run.device.type != "cuda" or dtype == torch.float32:
        return nullcontext()
    return run.task.quick_teachers(dtype)
