"""Trained networks with what is known of them: from checkpoint files, or as a program holds them."""

import copy
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from datasets import STREAMS, ClipView
from engine import checkpoint
from models import StreamNetwork

from ..testing.fusing import check_distinct
from ..testing.loading import network_in
from .agreement import check_states, common_recipe

Network = TypeVar("Network")
Source = str | Path | StreamNetwork | tuple[StreamNetwork, Mapping[str, Any]]  # the last with its checkpoint's content
CLIP = ("sample_size", "sample_duration")  # without which nobody can cut clips for a network


class Trained(NamedTuple, Generic[Network]):
    """A network to use on videos."""

    network: Network  # in eval mode, as it is tested
    state: Mapping[str, Any]  # content of its checkpoint; "stream", "class_names" and "recipe" at least
    name: str  # the file, or "network 1" of one that a program holds, for messages


def listed(networks: Source | Iterable[Source]) -> list[Source]:
    """Return one or several sources as a list."""
    if isinstance(networks, str | Path | StreamNetwork):
        return [networks]
    if isinstance(networks, tuple) and len(networks) == 2 and isinstance(networks[1], Mapping):
        return [networks]
    return list(networks)


def distinct_names(sources: Sequence[Source], cure: str) -> list[str]:
    """Return the names of sources for messages: of a file its path, else "network 1".

    Raises ValueError if there is none, or one twice, with the `cure` for that.
    """
    if not sources:
        raise ValueError("no networks: give at least one checkpoint or network")
    names = [name_of(source, sources) for source in sources]
    check_distinct(names, cure)
    return names


def load_trained(
    sources: Sequence[Source],
    names: Sequence[str],
    *,
    class_names: Sequence[str] | None = None,
    recipe: Mapping[str, Any] | None = None,
) -> list[Trained[StreamNetwork]]:
    """Load networks that are used together, checked against each other, each to read the view of its own size.

    Args:
        sources: Checkpoint files of train.py or STS_train.py, or networks, alone or with the content of their
            checkpoint. Of networks copies are used, so that they stay as they are.
        names: Of the sources, for messages, see `distinct_names`.
        class_names: In place of what the checkpoints state; without it networks alone cannot be used.
        recipe: How clips are made, likewise: "sample_size" and "sample_duration" at least, as a checkpoint states it.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If one is damaged, of a published form, or of other classes or clips than the others, or if nothing
            is said of its classes or clips.
    """
    if missing := [] if recipe is None else [name for name in CLIP if name not in recipe]:
        raise ValueError(f"recipe: {missing[0]} is missing; give {' and '.join(CLIP)} of the clips of its training")
    given: dict[str, Any] = {} if class_names is None else {"class_names": list(class_names)}
    given |= {} if recipe is None else {"recipe": {"provenance": {}, **recipe}}
    states = [state_of(source) | given for source in sources]
    for name, source, state in zip(names, sources, states, strict=True):
        if bare(source) and not state.keys() >= {"class_names", "recipe"}:
            raise ValueError(f"{name}: its classes and clips are not known: give class_names and recipe, or its file")
    check_states(names, states)
    side, trained = common_recipe(names, states)["sample_size"], []
    for source, state, name in zip(sources, states, names, strict=True):
        network = network_of(source, state, name)
        if (trained_side := state["recipe"]["sample_size"]) != side:
            network.view = ClipView(STREAMS[network.stream], trained_side).name
        trained.append(Trained(network, state, name))
    return trained


def name_of(source: Source, sources: Sequence[Source]) -> str:
    """Return the file of a network, or its number among the sources: the first one, if it is there twice."""
    if isinstance(source, str | Path):
        return str(source)
    network = bare(source)
    return f"network {1 + next(i for i, other in enumerate(sources) if bare(other) is network)}"


def bare(source: Source) -> StreamNetwork | None:
    """Return a network without its checkpoint's content; None of a file."""
    if isinstance(source, str | Path):
        return None
    return source if isinstance(source, StreamNetwork) else source[0]


def state_of(source: Source) -> dict[str, Any]:
    """Return the content of a checkpoint, or what a network alone knows of its own."""
    if isinstance(source, str | Path):
        return checkpoint.load(source)
    if isinstance(source, StreamNetwork):
        known = {"class_names": source.class_names, "recipe": source.recipe}
        return {"options": {}, "stream": source.stream} | {name: value for name, value in known.items() if value}
    network, state = source
    return {"options": {}, **state, "stream": network.stream}


def network_of(source: Source, state: Mapping[str, Any], name: str) -> StreamNetwork:
    """Return the network of a source in eval mode; a program's own is copied.

    Raises ValueError if it has not one output for each class.
    """
    given = bare(source)
    network = network_in(state, name, STREAMS[state["stream"]]) if given is None else given
    if network.num_classes != (known := len(state["class_names"])):
        cure = "" if given else f": train it again, or fine-tune it (train.py --pretrain_path), with {known} outputs"
        raise ValueError(f"{name}: {network.num_classes} outputs for {known} class names{cure}")
    return network if given is None else copy.deepcopy(given).eval()
