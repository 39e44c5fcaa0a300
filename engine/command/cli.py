"""Ends of scripts: one `error:` line and an exit code that says what kind of failure it was."""

import argparse
import difflib
import errno
import io
import logging
import re
import sys
from argparse import Namespace
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

import torch

from .aliases import ALIASES
from .signals import StoppedError

INPUT, NON_FINITE, COUNT, DISK = 2, 3, 4, 5
INTERRUPTED = 130
MAX_SUGGESTIONS = 3  # names that are proposed at most
MISSING = "the following arguments are required:"  # as argparse says it
LOST_RANK = "another process of this run has ended; it said why"
TOO_MANY_FILES = (
    "too many open files: raise the limit, as with `ulimit -n 4096`, or use fewer workers (training: --n_workers, or "
    "--loader threads)"
)
# Words of torch's messages, and what they mean to a user.
EXPLANATIONS = {
    "DataLoader worker (pid": "a loader process died, perhaps for want of memory: use fewer --n_workers",
    "Connection closed by peer": LOST_RANK,  # gloo's, of a process that waits for another
    "Connection reset by peer": LOST_RANK,
    "Too many open files": TOO_MANY_FILES,
    "Expected more than 1 value per channel": "batch norm has a single value per channel to take statistics of: use "
    "--batch_size 2 or more, a larger --sample_size or a longer --sample_duration",
    "does not have a deterministic implementation": "torch cannot sum the gradients of a layer of this network in a "
    "fixed order on a GPU: leave out --deterministic, or use another network",
}


class HelpFormatter(argparse.RawDescriptionHelpFormatter, argparse.ArgumentDefaultsHelpFormatter):
    """Help that keeps the lines of a description, and shows only informative defaults: not "None" or "False"."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=32)

    def _get_help_string(self, action: argparse.Action) -> str | None:
        silent = action.default is None or action.default is False or action.default in ("", [])
        return action.help if silent else super()._get_help_string(action)

    def _get_default_metavar_for_optional(self, action: argparse.Action) -> str:
        """Name the kind of value: the name of the option, in capitals, would say it twice."""
        return "INT" if action.type is int else "FLOAT" if action.type is float else "VALUE"


class ArgumentParser(argparse.ArgumentParser):
    """Argument parser with one-line errors: no usage, exit code 2; option names are never abbreviated."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=HelpFormatter, **kwargs)
        self.options: list[str] = []  # names of those on the command line, in its order

    def error(self, message: str) -> NoReturn:
        """Print the error and exit."""
        names = message.removeprefix(MISSING).split(", ") if message.startswith(MISSING) else []
        missing = [name for name in names if not name.strip().startswith("-")]  # options are asked for anywhere
        if missing and (greedy := self.greedy()):
            message += f"; name it before {greedy}, which takes every word that follows it"
        self.exit(INPUT, f"error: {message} (see --help)\n")

    def greedy(self) -> str | None:
        """Return the last option on the command line if it takes any number of words, else None."""
        action = self._option_string_actions.get(self.options[-1]) if self.options else None
        return self.options[-1] if action and action.nargs in ("+", "*") else None

    def parse_args(  # type: ignore[override]  # the overloads of argparse differ from one Python to the next
        self, args: Sequence[str] | None = None, namespace: Namespace | None = None
    ) -> Namespace:
        """Parse as argparse does, but answer an option that does not exist with the nearest that does."""
        if "--debug" not in self._option_string_actions:  # which `run` reads
            self.add_argument("--debug", action="store_true", help="show tracebacks")
        words = sys.argv[1:] if args is None else list(args)
        options = words[: words.index("--")] if "--" in words else words
        self.options = [word.split("=")[0] for word in options if word.startswith("--")]
        unknown = [name for name in self.options if name not in self._option_string_actions]
        self.refuse(unknown)  # before what is missing
        spread = any(action.nargs in ("?", "*") for action in self._get_positional_actions()) and "--" not in words
        # Where such positionals stand behind an option, Python before 3.13 else takes them for absent.
        parse = self.parse_known_intermixed_args if spread else self.parse_known_args
        opt, unknown = parse(words, namespace)
        self.refuse(unknown)
        return opt

    def refuse(self, unknown: Sequence[str]) -> None:
        """End with an error that names unknown words, if there are any, and the options that were meant."""
        if unknown:
            near = (nearest(word.split("=")[0], self.settable()) for word in unknown if word.startswith("-"))
            self.error(f"unrecognized arguments: {' '.join(unknown)}{question([' or '.join(n) for n in near if n])}")

    def settable(self) -> dict[str, argparse.Action]:
        """Return every option, like "--batch_size", that has a value to set."""
        options = self._option_string_actions.items()
        return {option: action for option, action in options if action.default != argparse.SUPPRESS}


class RefusedOption(argparse.Action):
    """An option that would have no effect; `const` says why."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: Any, values: Any, option: str | None = None) -> None:
        parser.error(f"{option} {self.const}")


class ElsewhereOption(RefusedOption):
    """An option of another script: refused on the command line, passed over in a `--config` that several share."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown `name`: the nearest of the known names, if there are any."""
    near = nearest(name, known)
    return question([" or ".join(near)]) if near else ""


def question(names: Sequence[str]) -> str:
    """Ask whether these names were meant; "" without names."""
    return f"; did you mean {', '.join(names)}?" if names else ""


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """Return the known names nearest to a word: its alias, else the one spelt nearest, else those with the word."""
    by_name = {normalise_name(option): option for option in known}
    query = normalise_name(name)
    if near := [by_name[normalise_name(alias)] for alias in ALIASES.get(query, ()) if normalise_name(alias) in by_name]:
        return near[:1]
    if close := difflib.get_close_matches(query, by_name, 1, 0.7):
        return [by_name[close[0]]]
    containing = [option for words, option in by_name.items() if query in words.split("_")]
    return containing if len(containing) <= MAX_SUGGESTIONS else []


def normalise_name(name: str) -> str:
    """Return a name without what people spell in different ways."""
    return name.lstrip("-").lower().replace("-", "_")


class EvaluationCountError(RuntimeError):
    """A test did not score every video exactly once."""


def run(main: Callable[[Namespace], Any], parse: Callable[[], Namespace]) -> Any:
    """Return `main(parse())`; turn what a user can cause into one line on stderr and exit.

    Exit codes: 2 bad input, 3 non-finite numbers, 4 evaluation count, 5 disk full, 130 and 143 stopped by a signal.
    With `--debug` the traceback is shown instead of the line.
    """
    show_any_text()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    opt = parse()
    try:
        return main(opt)
    except (ValueError, OSError, FloatingPointError, RuntimeError) as error:
        if opt.debug or not is_explained(error):
            raise
        print(f"error: {one_line(error)}", file=sys.stderr)  # noqa: T201
        sys.exit(exit_code(error))
    except StoppedError as stopped:
        print(stopped, file=sys.stderr)  # noqa: T201
        sys.exit(stopped.code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def show_any_text() -> None:
    """Print characters that a console lacks as escapes: a name that it cannot show must not end a command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def is_explained(error: BaseException) -> bool:
    """Return whether the message of an error helps a user; other RuntimeErrors are bugs, whose traceback does."""
    explains_itself = isinstance(error, EvaluationCountError | torch.OutOfMemoryError)
    return not isinstance(error, RuntimeError) or explains_itself or any(text in str(error) for text in EXPLANATIONS)


def exit_code(error: BaseException) -> int:
    """Return the exit code for an exception that `run` catches."""
    if isinstance(error, FloatingPointError):
        return NON_FINITE
    if isinstance(error, EvaluationCountError):
        return COUNT
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DISK
    return INPUT


def one_line(error: BaseException) -> str:
    """Return the message of `error` on one line.

    A loader worker's exception arrives with its whole traceback as message; its last line is the message.
    """
    if explanations := [explanation for words, explanation in EXPLANATIONS.items() if words in str(error)]:
        return explanations[0]
    if isinstance(error, torch.OutOfMemoryError):
        return "the GPU is out of memory: use a smaller --batch_size (tests: --clips_per_batch)"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"no space left: {error.filename or 'on the disk that is written to'}"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    text = str(error) or type(error).__name__
    if "Original Traceback" in text:
        text = re.sub(r"^[\w.]+: ", "", text.strip().splitlines()[-1])
    return " ".join(text.split())
