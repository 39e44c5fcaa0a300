"""One option of the training and test scripts: how it is parsed, whom it concerns, and what it is about."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

TRAIN, DISTILL, SINGLE, FUSED = "train.py", "STS_train.py", "test_single_stream.py", "test_two_stream.py"
TRAINING, TESTING = (TRAIN, DISTILL), (SINGLE, FUSED)
SCRIPTS = (*TRAINING, *TESTING)

# What an option is about; who goes on from a checkpoint, tests it or compares two of them asks by role.
ROLES = {
    "machine": "this machine and this call: files, devices, speed; never taken from a checkpoint",
    "run": "the optimisation and its bookkeeping",
    "data": "which videos, and which streams of them",
    "clip": "what a network sees of a video; a test takes it from the checkpoint",
    "network": "the architecture; whoever loads the weights takes it from the checkpoint",
    "view": "which clips of a test video are scored, and which part of each frame",
    "fusion": "which videos are tested, and how the scores of clips and streams are joined",
    "loss": "the losses of distillation",
}


@dataclass(frozen=True)
class Option:
    """An option, declared once.

    Attributes:
        flags: Its names, the first of which counts.
        group: Heading in `--help`.
        role: A key of `ROLES`.
        scripts: Those of `SCRIPTS` that read it.
        free: Whether a resumed run may go on with another value, though it is of the run.
        settings: Keyword arguments of `argparse.ArgumentParser.add_argument`.
    """

    flags: tuple[str, ...]
    group: str
    role: str
    scripts: Sequence[str]
    free: bool
    settings: dict[str, Any]

    @property
    def name(self) -> str:
        """Name of its value in the namespace."""
        return str(self.settings.get("dest", self.flags[0].lstrip("-")))

    @property
    def default(self) -> Any:
        """Value unless it is given."""
        return self.settings.get("default", False if self.settings.get("action") == "store_true" else None)

    def allows(self, value: object) -> bool:
        """Return whether a stored value can be one of this option."""
        kind = self.settings.get("type", str)
        known = {type(self.default), *((kind,) if isinstance(kind, type) else ())}
        return type(value) in known and value in self.settings.get("choices", (value,))


class OptionTable:
    """Options in the order of `--help`."""

    def __init__(self) -> None:
        self.options: list[Option] = []

    def group(self, title: str, role: str, scripts: Sequence[str] = SCRIPTS) -> Callable[..., None]:
        """Return a function that declares an option of a group, with the group's role and scripts unless it says other.

        It takes the names of the option, `role`, `scripts` and `free` as of `Option`, and what `add_argument` takes. An
        option whose default is a number, or a list of numbers, has their type.
        """
        defaults = {"role": role, "scripts": scripts, "free": False}

        def add(*flags: str, **settings: Any) -> None:
            about = {name: settings.pop(name, default) for name, default in defaults.items()}
            assert about["role"] in ROLES, flags
            default = settings.get("default")
            first = default[0] if isinstance(default, list) and default else default
            if type(first) in (int, float):
                settings.setdefault("type", type(first))
            self.options.append(Option(flags=flags, group=title, settings=settings, **about))

        return add
