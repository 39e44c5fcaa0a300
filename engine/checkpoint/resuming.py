"""Resuming a run: the options that its checkpoint sets, and the changes that would make it another run."""

import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sts_common import counted

log = logging.getLogger(__name__)

WHOLE_RUN_SCHEDULES = frozenset(("onecycle", "cosine"))  # schedules that --n_epochs shapes from the first epoch on
COMPARED_AS_BOOL = frozenset(("pretrain_path",))  # a resumed run does not read it, but without it other layers learn
# What becomes a setting of the optimiser's groups, which otherwise are as in the checkpoint.
SETTINGS = {
    "learning_rate": ("lr",),
    "lr_scale_base": ("lr",),
    "momentum": ("momentum",),
    "dampening": ("dampening",),
    "nesterov": ("nesterov", "dampening"),
    "weight_decay": ("weight_decay",),
    "ft_begin_index": ("lr", "weight_decay"),  # of frozen layers 0
    "lr_multiples": ("lr", "weight_decay"),
}
SCALED = frozenset(("batch_size", "iter_size"))  # with --lr_scale_base they change the rate


def resumed_options(
    state: Mapping[str, Any],
    options: Mapping[str, Any],
    source: str,
    *,
    given: Collection[str],
    here: Collection[str] = (),
    free: Collection[str] = (),
    anyway: bool = False,
) -> dict[str, Any]:
    """Return the options of a run that goes on from a checkpoint.

    Options that were not `given` are as in the checkpoint, except those of this machine and this call, `here`.
    Published checkpoints store no options; then all stay as they are. Of the given ones only `free` may differ: raises
    ValueError with the others, which are only reported with `anyway`.
    """
    stored = stored_options(state, options, source, here)
    check_same_options(stored, {name: options[name] for name in given}, source, free=free, anyway=anyway)
    inherited = {name: value for name, value in stored.items() if name not in given}
    # What is given and equal is also taken: 50 and 50.0 are one weight, but two file names.
    equal = {name: value for name, value in stored.items() if value == options[name]}
    return {**options, **inherited, **equal}


def check_same_options(
    stored: Mapping[str, Any], given: Mapping[str, Any], source: str, *, free: Collection[str], anyway: bool
) -> None:
    """Refuse to go on with options that would make it another run; raises as `resumed_options`."""
    refuse_changes(source, "options", changed_options(stored, given, free), "leave them out", anyway=anyway)


def refuse_changes(source: str, what: str, changed: Sequence[str], cure: str, *, anyway: bool) -> None:
    """Raise ValueError with what has changed since a checkpoint, if anything has; with `anyway` only report it."""
    if not changed:
        return
    message = f"{source}: made with other {what}: {'; '.join(changed)}"
    if not anyway:
        raise ValueError(f"{message}: {cure}, start another run, or insist with --resume_anyway")
    log.warning("%s; going on with the new ones", message)


def changed_options(stored: Mapping[str, Any], given: Mapping[str, Any], free: Collection[str] = ()) -> list[str]:
    """Return options that may not differ from the run's and do, as "batch_size 32 in the checkpoint, 16 now".

    Those of `free` may, but not the last epoch where a schedule was made for it; options not given are the stored ones.
    """
    shaping = {"n_epochs"} if stored.get("lr_schedule") in WHOLE_RUN_SCHEDULES else set()
    return [
        f"{name} {format_value(stored[name])} in the checkpoint, {format_value(given[name])} now"
        for name in sorted(given.keys() - (set(free) - shaping))
        if name in stored and differ(name, stored[name], given[name])
    ]


def changed_settings(stored: Mapping[str, Any], now: Mapping[str, Any]) -> set[str]:
    """Return the settings of an optimiser's groups, like "lr", that options now change; none, where stored are none."""
    both = [name for name in (*SETTINGS, *SCALED) if name in stored and name in now]
    changed = {name for name in both if differ(name, stored[name], now[name])}
    settings = {setting for name in changed & SETTINGS.keys() for setting in SETTINGS[name]}
    return settings | {"lr"} if changed & SCALED and now["lr_scale_base"] else settings


def changed_data(stored: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return differences of a run's videos, as "train: 900 of 1,000 listed videos in the checkpoint, 901 of 1,000 now".

    Both have by subset "videos", "listed" and "sha256", which alone decides; subsets that only one has are not
    compared.
    """
    return [
        f"{subset}: {videos_used(before)} in the checkpoint, {videos_used(after)} now"
        if videos_used(before) != videos_used(after)
        else f"{subset}: {videos_used(after)}, but others than in the checkpoint (their list has sha256 "
        f"{after['sha256'][:12]} now, {before['sha256'][:12]} in it)"
        for subset, after in now.items()
        if (before := stored.get(subset)) and before["sha256"] != after["sha256"]
    ]


def videos_used(videos: Mapping[str, Any]) -> str:
    """Format the number of videos in use."""
    return f"{videos['videos']:,} of {counted(videos['listed'], 'listed video')}"


def check_same_data(state: Mapping[str, Any], now: Mapping[str, Any], source: str, *, anyway: bool) -> None:
    """Refuse to go on with other videos, see `changed_data`, than those of a checkpoint that states them.

    Raises ValueError with the differences, which are only reported with `anyway`.
    """
    cure = "check --frame_dir, --annotation_path and --missing"
    refuse_changes(source, "videos", changed_data(state.get("data", {}), now), cure, anyway=anyway)


def check_same_teachers(state: Mapping[str, Any], now: Mapping[str, str], source: str, *, anyway: bool) -> None:
    """Refuse to go on with other teachers, by name the SHA-256 of the weights, than those that a checkpoint states.

    Raises ValueError with the differences, which are only reported with `anyway`.
    """
    stored = state.get("teachers")
    if not isinstance(stored, Mapping):
        return
    changed = [
        f"{name or 'the flow teacher'} {describe_weights(stored.get(name))} in the checkpoint, "
        f"{describe_weights(now.get(name))} now"
        for name in dict.fromkeys((*stored, *now))
        if stored.get(name) != now.get(name)
    ]
    refuse_changes(source, "teachers", changed, "name those of the run", anyway=anyway)


def describe_weights(sha256: str | None) -> str:
    """Format the digest of a teacher's weights."""
    return f"has weights of sha256 {sha256[:12]}" if sha256 else "is not there"


def stored_options(
    state: Mapping[str, Any], options: Mapping[str, Any], source: str, here: Collection[str] = ()
) -> dict[str, Any]:
    """Return the options in a checkpoint that exist today, without those of `here`.

    Raises ValueError if one has a value that it cannot have.
    """
    stored = state.get("options", {})
    if not isinstance(stored, Mapping):
        raise ValueError(f"{source}: its options are a {type(stored).__name__}, so it is no checkpoint of this project")
    existing = {name: stored[name] for name in options if name in stored and name not in here}
    for name, value in existing.items():
        if kind(value) != kind(options[name]) and None not in (value, options[name]):
            raise ValueError(f"{source}: its option {name} is {format_value(value)}, which this version does not know")
    return existing


def kind(value: Any) -> type:
    """Return the type of an option's value; whole numbers are numbers, tuples are lists."""
    return {int: float, tuple: list}.get(type(value), type(value))


def differ(name: str, stored: Any, now: Any) -> bool:
    """Return whether two values of an option make two runs."""
    if name in COMPARED_AS_BOOL:
        return bool(stored) != bool(now)
    if isinstance(stored, list | tuple) and isinstance(now, list | tuple):
        return list(stored) != list(now)
    return bool(stored != now)


def format_value(value: Any) -> str:
    """Format a value as on the command line."""
    if value is None or value == []:
        return "not set"
    text = " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return text if text and len(text) < 80 else repr(text[:80])
