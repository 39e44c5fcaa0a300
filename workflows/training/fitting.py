"""Training by keyword arguments, with the checkpoints, logs and resuming of train.py and STS_train.py."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import torch

from datasets import ClipLoader
from engine import RunSettings, check_results, create_run, create_settings, find_start, full_rate, setup
from engine.checkpoint.resuming import check_same_options, stored_options
from engine.command.naming import RunFiles, named_files
from engine.training.fit import TRAIN_COLUMNS
from engine.training.run import check_is_newest
from models import Distill, StreamNetwork
from models.tasks import Task
from models.weights import load_weights, weights_of
from opts import CHANGEABLE

from .fit_inputs import check_clips, check_facts
from .session import describe_data, run_info, task_groups, train_to_end
from .teachers import state_teachers


class FitResult(NamedTuple):
    """Result of a training.

    Attributes:
        accuracy: Validation accuracy of the best epoch, in [0, 1]; see `engine.training.best.Best`.
        best: The checkpoint of that epoch.
        files: All files of the run.
    """

    accuracy: float
    best: Path
    files: RunFiles


def fit(  # noqa: PLR0913 - an interface of keywords
    task: Task,
    train: ClipLoader,
    val: ClipLoader,
    *,
    folder: str | Path,
    class_names: Sequence[str],
    recipe: Mapping[str, Any],
    run_name: str = "run",
    resume: str | Path | None = None,
    resume_anyway: bool = False,
    ft_begin_index: int = 0,
    lr_multiples: str = "off",
    device: str | torch.device = "auto",
    compile_mode: str = "off",
    columns: Mapping[str, str] = TRAIN_COLUMNS,
    **settings: Any,
) -> FitResult:
    """Train a task; stopped anywhere and resumed, it gives the same bits.

    It writes what the training scripts write, so that its checkpoints can be tested, used and resumed like theirs. No
    generator is seeded here: `torch.manual_seed` before the network is made makes a run repeatable. An interrupt ends
    it after the step under way, with a checkpoint from which `resume="auto"` goes on.

    Args:
        task: `Classify` or `Distill`; `task.model` learns, and is left with the weights of the last epoch.
        train: Training batches.
        val: Validation batches.
        folder: Files go to `folder/<run_name>_*.pth`, `folder/<run_name>/` and two logs.
        class_names: By label.
        recipe: How the clips are made, which a test of the checkpoint takes from it, see `make_recipe`;
            "sample_duration" and "sample_size" at least.
        run_name: What the names of the files begin with.
        resume: "auto" for the newest good checkpoint of this run, if there is one, or the path of one; None for a fresh
            run, which is refused where there is one of this name.
        resume_anyway: Whether a run goes on though its settings or videos are others now.
        ft_begin_index: First stage that learns, counted from 1, in fine-tuning; 0: all.
        lr_multiples: Of kinds of parameters, a key of `LR_MULTIPLES`.
        device: "auto", "cpu", "cuda", "cuda:N" or a device.
        compile_mode: A key of `COMPILE`.
        columns: Columns of the training log -> metrics.
        settings: Of the optimisation, as the options of these names: `n_epochs`, `learning_rate`, `lr_schedule` and
            all others of `RunSettings`.

    Raises:
        ValueError: If an argument is out of range, the clips are not what the networks and the recipe ask for, there is
            a run of this name, or the checkpoint is of another one, or of other teachers.
        FileNotFoundError: If there is no such checkpoint.
        FloatingPointError: If the loss is not finite.
        StoppedError: If a signal asked to stop; the position is saved.

    Examples:
        >>> torch.manual_seed(1)
        >>> model = StreamNetwork(create_model("resnet", 3, 51, depth=18), RGB)
        >>> result = fit(
        ...     *(Classify(model), train, val),
        ...     folder="results",
        ...     class_names=videos.class_names,
        ...     recipe=make_recipe(videos, clips),
        ...     n_epochs=30,
        ...     learning_rate=0.05,
        ...     lr_schedule="cosine",
        ... )
        >>> network = load_checkpoint(result.best)
    """
    chosen, files, model = create_settings(**settings), named_files(Path(folder), run_name), task.model
    check_facts(model, class_names, recipe)
    check_clips(task, train, val, class_names, recipe)
    place = device if isinstance(device, torch.device) else setup(None, device)
    state, source = find_start(str(resume or ""), files)
    check_results(files, resuming=bool(source))
    options = options_of(chosen, train) | {"run_name": run_name, "ft_begin_index": ft_begin_index}
    options |= {"compile": compile_mode, "lr_multiples": lr_multiples}
    info = run_info(model, class_names, recipe, data=describe_data(train, val), options=options)
    model.class_names, model.recipe = info["class_names"], info["recipe"]
    if source:
        if resume != "auto":
            check_is_newest(state, source, files)
        stored = stored_options(state, options, source)
        check_same_options(stored, options, source, free=CHANGEABLE, anyway=resume_anyway)
        take_weights(model, state, source)
    if isinstance(task, Distill):
        info |= state_teachers(task, state if source else {}, source, anyway=resume_anyway)
    task.to(place)
    groups = task_groups(task, ft_begin_index, full_rate(chosen, train.batch_size), lr_multiples)
    run = create_run(
        *(chosen, task, groups, len(train)),
        files=files,
        device=place,
        info=info | {"options": options | {"resume_anyway": resume_anyway}},
    )
    if source:
        run.resume(state, source)
    train_to_end(run, model, train, val, columns, compile_mode=compile_mode)
    return FitResult(run.best.accuracy, files.best, files)


def options_of(settings: RunSettings, train: ClipLoader) -> dict[str, Any]:
    """Return the settings of a run as the options of its checkpoints, in plain values."""
    plain = {name: list(x) if isinstance(x, tuple) else x for name, x in asdict(settings).items()}
    return plain | {"batch_size": train.batch_size, "manual_seed": train.seed}


def take_weights(model: StreamNetwork, state: Mapping[str, Any], source: str) -> None:
    """Load the weights of a run's checkpoint; raises ValueError if its network, input or classes are others."""
    recipe = state.get("recipe", {})
    facts = {
        "network": (state.get("network"), dict(model.network.origin)),
        "stream": (state.get("stream"), model.stream),
        "normalisation": (recipe.get("normalisation"), model.normalisation),
        "classes": (state.get("class_names"), model.class_names),
    }
    for name, (stored, now) in facts.items():
        if stored is not None and stored != now:
            raise ValueError(f"{source}: made with other {name}: {stored} in the checkpoint, {now} now")
    load_weights(model.network, weights_of(state, source), source)
