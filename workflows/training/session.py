"""Session of a training script: the start of a run, and its course to the end."""

import logging
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from datasets import ClipLoader, VideoDataset, num_listed
from datasets.records.fingerprint import describe_videos
from engine import Run, checkpoint, find_start, fit, is_main, resumed_options
from engine.command.naming import RunFiles
from engine.training.fit import TRAIN_COLUMNS, Loader
from engine.training.run import check_is_newest
from models import StreamNetwork, compiled, estimate
from models.analysis.flops import Costs
from opts import ARCHITECTURE, FREE, HERE, adopt, parse_opts

from .next_step import next_lines

log = logging.getLogger(__name__)


class Start(NamedTuple):
    """Starting point of a run.

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
    """Choose the checkpoint to resume from, or the pre-trained one, or none.

    Args:
        opt: Options.
        resume: A checkpoint of this run, "auto" for its newest good one, or "".
        files_of: Names the files of a run by its options.

    Raises:
        FileNotFoundError: If a checkpoint is missing.
        ValueError: If one is damaged, of a run with other data, network or seed options, or not its newest.
    """
    pretrained = checkpoint.load(opt.pretrain_path) if opt.pretrain_path else {}
    opt = adopt(opt, pretrained, ARCHITECTURE)
    state, source = find_start(resume, files_of(opt))
    if source:
        opt = resumed_options(state, opt, source, HERE, FREE)
        if resume != "auto":
            check_is_newest(state, source, files_of(opt))
        return Start(opt, state, source, True)
    return Start(opt, pretrained, opt.pretrain_path, False)


def describe_run(
    opt: Namespace,
    model: StreamNetwork,
    names: Sequence[str],
    recipe: Mapping[str, Any],
    loaders: Mapping[str, ClipLoader],
) -> dict[str, Any]:
    """Return the metadata of a run for its checkpoints, in plain values.

    Args:
        opt: Options.
        model: The network that learns.
        names: Class names.
        recipe: How the clips were made.
        loaders: Batches of "train" and "val".

    Returns:
        "stream", "class_names", "network", its {"name", "args"}, "arch", "recipe", "parameters", "macs" of a clip,
        "data", see `describe_videos`, by subset, and "defaults", those of the options that differ from them; options of
        this machine and this call have none.
    """
    costs, options, data = costs_of(opt, model), vars(opt), {}
    on_test_list = {"val": "test"} if opt.val_fraction == 0 else {}  # as was said where it was built
    for subset, loader in loaders.items():
        assert isinstance(loader.dataset, VideoDataset)
        data[subset] = describe_videos(loader.dataset, num_listed(opt, on_test_list.get(subset, subset)))
    return {
        "stream": model.stream,
        "class_names": list(names),
        "network": dict(model.network.origin),
        "arch": model.network.arch,
        "recipe": {**recipe, "stream": model.stream, "view": model.view, "normalisation": model.normalisation},
        "parameters": costs.parameters,
        "macs": costs.flops_forward // 2,
        "data": data,
        "defaults": {n: value for n, value in vars(parse_opts([])).items() if n not in HERE and options[n] != value},
    }


def costs_of(opt: Namespace, model: StreamNetwork) -> Costs:
    """Count the cost of a clip."""
    return estimate(model.network, (model.mean.numel(), opt.sample_duration, opt.sample_size, opt.sample_size))


def complete(
    opt: Namespace,
    run: Run,
    model: StreamNetwork,
    train: Loader,
    val: Loader,
    columns: Mapping[str, str] = TRAIN_COLUMNS,
) -> dict[str, float]:
    """Train to the last epoch; log the cost of a clip at the start, and the next commands at the end.

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
    costs = costs_of(opt, model)
    compiled(model, opt.compile)
    fit(run, train, val, columns, clip_flops=costs.flops_training, clip_bytes=costs.activation_bytes)
    if is_main():
        for line in next_lines(opt, run.files, run.best[0]):
            log.info(line)
    return {"acc": run.best[0]}
