"""What the training scripts share: how a run begins, and how it goes on to its end.

This composes the packages, as the scripts do, and so stands beside them.
"""

from argparse import Namespace
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from engine import Run, checkpoint, find_start, fit, resumed_options
from engine.fit import TRAIN_COLUMNS, Loader
from engine.naming import RunFiles
from models import ARCHITECTURE, StreamNetwork, compiled, estimate
from opts import adopt


class Start(NamedTuple):
    """What a run begins with.

    Attributes:
        opt: Options as used: those that were not given are taken from the checkpoint.
        state: Content of the checkpoint, empty from scratch.
        source: Its name.
        resuming: Whether it is one of the same run.
    """

    opt: Namespace
    state: Mapping[str, Any]
    source: str
    resuming: bool


def choose_start(opt: Namespace, resume: str, files_of: Callable[[Namespace], RunFiles]) -> Start:
    """The checkpoint to go on from, or the pre-trained one, or none.

    Args:
        opt: Options.
        resume: A checkpoint of this run, "auto" for its newest good one, or "".
        files_of: Names the files of a run by its options.

    Raises:
        FileNotFoundError: If a checkpoint is missing.
        ValueError: If one is damaged, or of a run with other data, network or seed options.
    """
    pretrained = checkpoint.load(opt.pretrain_path) if opt.pretrain_path else {}
    opt = adopt(opt, pretrained, ARCHITECTURE)
    state, source = find_start(resume, files_of(opt))
    if source:
        return Start(resumed_options(state, opt, source), state, source, True)
    return Start(opt, pretrained, opt.pretrain_path, False)


def complete(
    opt: Namespace,
    run: Run,
    model: StreamNetwork,
    train: Loader,
    val: Loader,
    columns: Mapping[str, str] = TRAIN_COLUMNS,
) -> dict[str, float]:
    """Train to the last epoch; says at the start what a clip costs.

    Args:
        opt: Options.
        run: Fresh, or resumed.
        model: The network that learns.
        train: Training batches.
        val: Validation batches.
        columns: Of the training log, see `TsvLog`.

    Returns:
        "acc", the best validation accuracy, in [0, 1].
    """
    clip = (model.mean.numel(), opt.sample_duration, opt.sample_size, opt.sample_size)
    costs = estimate(model.network, clip)
    compiled(model, opt.compile)
    fit(run, train, val, columns, clip_flops=costs.flops_training, clip_bytes=costs.activation_bytes)
    return {"acc": run.best[0]}
