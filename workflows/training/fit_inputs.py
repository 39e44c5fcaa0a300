"""Checks of what a training is given by keyword arguments, before anything is written."""

from collections.abc import Mapping, Sequence
from typing import Any

from datasets import ClipDataset, ClipLoader, VideoDataset
from datasets.stores.video_table import labels_of
from models import Distill, StreamNetwork
from models.tasks import Task
from sts_common import counted


def check_facts(model: StreamNetwork, class_names: Sequence[str], recipe: Mapping[str, Any]) -> None:
    """Refuse a training whose checkpoints could not be used.

    Raises:
        ValueError: If something is missing, a name is given twice, or there are more classes than outputs.
    """
    if missing := [name for name in ("sample_duration", "sample_size") if name not in recipe]:
        raise ValueError(f"recipe: lacks {missing[0]}, without which a test cannot cut clips: see make_recipe")
    if not model.network.origin:
        raise ValueError("the network does not know its name and arguments: make it with create_model")
    if not class_names or len(class_names) > model.num_classes:
        raise ValueError(f"class_names: {len(class_names)} names for {model.num_classes} outputs of the network")
    if twice := [name for name in class_names if list(class_names).count(name) > 1]:
        raise ValueError(f"class_names: two classes are called {twice[0]}: give them other names")


def check_clips(
    task: Task, train: ClipLoader, val: ClipLoader, class_names: Sequence[str], recipe: Mapping[str, Any]
) -> None:
    """Refuse loaders whose clips are not what the networks read or the recipe states.

    Loaders of data sets that are not of videos are taken as they are.

    Raises:
        ValueError: Names the loader, and how to make the right one.
    """
    teachers = [teacher for _, teacher, _ in task.teachers_and_losses()] if isinstance(task, Distill) else []
    for subset, loader, networks in (("train", train, [task.model, *teachers]), ("val", val, [task.model])):
        dataset = loader.dataset
        if isinstance(dataset, ClipDataset):
            raise ValueError(f"{subset}: this loader reads every clip, as a test does: make it with mode='{subset}'")
        if not isinstance(dataset, VideoDataset):
            continue
        if loader.batches.shuffle != (subset == "train"):
            other = "draws clips at random" if subset == "val" else "reads the same clips in every epoch"
            raise ValueError(f"{subset}: this loader {other}: make it of the subset {subset}, or with mode='{subset}'")
        check_views(subset, dataset, networks)
        check_labels(subset, dataset, class_names)
        if dataset.length != recipe["sample_duration"]:
            raise ValueError(
                f"{subset}: clips of {counted(dataset.length, 'frame')}, but the recipe states sample_duration "
                f"{recipe['sample_duration']}: use the same ClipOptions for make_loader and make_recipe"
            )


def check_views(subset: str, dataset: VideoDataset, networks: Sequence[StreamNetwork]) -> None:
    """Refuse clips that lack a view that a network reads; raises as `check_clips`."""
    views = [view.name for view in dataset.reader.views]
    needed = list(dict.fromkeys(network.view for network in networks))
    if missing := [view for view in needed if view not in views]:
        raise ValueError(
            f"{subset}: the clips have {', '.join(views) or 'no stream'}, but a network reads {missing[0]}: open the "
            f"videos with its stream, and cut the clips with ClipOptions(streams={needed})"
        )


def check_labels(subset: str, dataset: VideoDataset, class_names: Sequence[str]) -> None:
    """Refuse videos of classes that have no name; raises as `check_clips`."""
    classes = 1 + int(labels_of(dataset.videos).max())
    if classes > len(class_names):
        raise ValueError(
            f"class_names: {counted(len(class_names), 'name')}, but the {subset} videos have "
            f"{counted(classes, 'class')}: give the class_names of the videos, and a network of as many outputs"
        )
