"""Stages of an experiment: commands with what they read and what they leave."""

import shlex
from argparse import Namespace
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from datasets.annotation import SPLITS
from opts import FUSED, parse_opts
from opts.table import OPTIONS
from sts_common.commands import COMMANDS

from .inputs import extraction_records, frame_records, list_files, named_files
from .recipe import STREAMS, Options, Recipe

# What the audit and the tests read, too.
DATA_OPTIONS = ("dataset", "frame_dir", "annotation_path", "layout", "video_fps")
TRAINING_COMMANDS = {
    "rgb": ("train", ["--modality", "RGB", "--only_RGB"]),
    "flow": ("train", ["--modality", "Flow"]),
    "sfs": ("distill", ["--modality", "RGB_Flow"]),
}
# Options that change no result: a run goes on with others, on another machine.
SPEED_OPTIONS = ("n_workers", "loader", "decoder", "cache", "device", "clips_per_batch", "log", "resume")


@dataclass(frozen=True)
class Stage:
    """A command of an experiment."""

    name: str  # of the stage, and of its record
    command: str  # a key of `COMMANDS`
    words: tuple[str, ...]  # of its command line
    reads: tuple[Path, ...]  # files whose content its results depend on; some need not be there
    leaves: tuple[Path, ...]  # files that are there when it has ended
    sections: tuple[str, ...] = ()  # of the recipe, that hold its options
    costly: bool = False  # whether it takes hours, so that results with other options are not replaced unasked
    may_fail: bool = False  # whether exit code 2 with its results there counts as an end

    @property
    def settings(self) -> list[str]:
        """The words without options that change no result."""
        words, changes_result = [], True
        for word in self.words:
            if word.startswith("--"):
                changes_result = word[2:] not in SPEED_OPTIONS
            if changes_result:
                words.append(word)
        return words


def plan(recipe: Recipe, out: Path) -> list[Stage]:
    """Return the stages of a recipe in order; raises ValueError for options that a training does not have."""
    stages = [*data_stages(recipe)]
    for split in recipe.splits:
        stages += split_stages(recipe, out, split)
    files = [scores_of(out, split) for split in recipe.splits]
    report = ("--out", str(out / "report"), "--frame_dir", str(recipe.options["frame_dir"]))
    words = (*map(str, files), *report)
    return [*stages, Stage("report", "report", words, tuple(files), (out / "report" / "index.html",))]


def data_stages(recipe: Recipe) -> Iterator[Stage]:
    """Yield the extraction, if the recipe has videos, and the audit, which looks at the lists of all splits."""
    frames = str(recipe.options["frame_dir"])
    if recipe.videos:
        words = (str(recipe.videos), frames, *as_words(recipe.extract))
        leaves: tuple[Path, ...] = (Path(frames, "flow.json"), Path(frames, "frames.json"))
        yield Stage("extract", "extract", words, tuple(named_files(recipe.extract)), leaves, ("extract",))
    options = choose(recipe.options, (*DATA_OPTIONS, "sample_duration"))
    words = (*as_words(options), *["--quarantine"] * recipe.quarantine)
    reads = (*list_files(Path(str(recipe.options["annotation_path"])), SPLITS), *extraction_records(Path(frames)))
    leaves = (Path(frames, "manifest.jsonl"),)
    yield Stage("audit", "audit", words, reads, leaves, ("options",), may_fail=recipe.quarantine)


def split_stages(recipe: Recipe, out: Path, split: int) -> Iterator[Stage]:
    """Yield the trainings of a split and its test."""
    folder = out / f"split{split}"
    best = {stream: folder / str(recipe.options["dataset"]) / f"{stream}_best.pth" for stream in STREAMS}
    common = ["--split", str(split), "--result_path", str(folder)]
    lists = list_files(Path(str(recipe.options["annotation_path"])), [split])
    data = dict.fromkeys([*lists, *frame_records(Path(str(recipe.options["frame_dir"])))])
    for stream in STREAMS:
        command, streams = TRAINING_COMMANDS[stream]
        script = COMMANDS[command].script
        sections = training_sections(recipe, stream, script)
        fixed, teacher = [*streams, *common, "--run_name", stream], []
        if stream == "sfs":
            fixed += ["--resume_path1", str(best["flow"])]
            teacher = [best["flow"]]
        parse_sections(recipe, sections, fixed, script)  # an error now, not after days
        options = merge_options(sections)
        words = (*as_words(options), *fixed, "--resume", "auto")
        reads = dict.fromkeys([*named_files(options), *data, *teacher])
        yield Stage(
            f"split{split}_{stream}", command, words, tuple(reads), (best[stream],), tuple(sections), costly=True
        )
    sections = {"options": choose(recipe.options, (*DATA_OPTIONS, "missing")), "test": recipe.test}
    fixed = [*common, *(word for stream in STREAMS for word in ("--stream", f"{stream}={best[stream]}"))]
    fixed += ["--scores_path", str(scores_of(out, split))]
    parse_sections(recipe, sections, fixed, FUSED)
    options = merge_options(sections)
    reads = dict.fromkeys([*named_files(options), *data, *best.values()])
    words = (*as_words(options), *fixed)
    yield Stage(f"split{split}_test", "fuse", words, tuple(reads), (scores_of(out, split),), tuple(sections))


def training_sections(recipe: Recipe, stream: str, script: str) -> dict[str, Options]:
    """Return the options of a training by section: those of the recipe but for other scripts', and the stream's."""
    read = {option.name for option in OPTIONS if script in option.scripts}
    other_scripts = {option.name for option in OPTIONS} - read
    shared = {name: value for name, value in recipe.options.items() if name not in other_scripts}
    return {"options": shared, stream: recipe.streams[stream]}


def merge_options(sections: Mapping[str, Options]) -> Options:
    """Return the options of all sections; the later ones hold."""
    return {name: value for options in sections.values() for name, value in options.items()}


def parse_sections(recipe: Recipe, sections: Mapping[str, Options], fixed: Sequence[str], script: str) -> Namespace:
    """Parse the options of sections of a recipe, followed by words that are not the recipe's.

    Raises ValueError, which names the recipe and the section that is wrong by itself, or all of them if none is.
    """
    try:
        return parse([*as_words(merge_options(sections)), *fixed], script)
    except ValueError as error:
        wrong = [
            name for name, options in sections.items() if refusal([*as_words(options), *fixed], script) == str(error)
        ]
        raise ValueError(f"{recipe.path}: {' and '.join(wrong[-1:] or sections)}: {error}") from None


def refusal(words: Sequence[str], script: str) -> str:
    """Return why a script refuses words, "" if it takes them."""
    try:
        parse(words, script)
    except ValueError as error:
        return str(error)
    return ""


def parse(words: Sequence[str], script: str) -> Namespace:
    """Parse words as a script does; raises ValueError with the reason, where the script would end."""
    errors = StringIO()
    try:
        with redirect_stderr(errors):
            return parse_opts(words, script=script)
    except SystemExit:
        reason = errors.getvalue().strip().removeprefix("error: ").removesuffix(" (see --help)")
        raise ValueError(reason or "help is no option of a recipe") from None


def as_words(options: Mapping[str, str | list[str]]) -> list[str]:
    """Return options as words of a command line; true sets a flag, false leaves it out.

    Other spellings, such as off, are values: some options have one of that name.
    """
    words = []
    for name, value in options.items():
        plain = value.lower() if isinstance(value, str) else ""
        if plain == "false":
            continue
        values = [] if plain == "true" else [value] if isinstance(value, str) else value
        words += [f"--{name}", *values]
    return words


def choose(options: Options, names: Collection[str]) -> Options:
    """Return some of the options."""
    return {name: value for name, value in options.items() if name in names}


def scores_of(out: Path, split: int) -> Path:
    """Return the score file of a split."""
    return out / f"split{split}.npz"


def as_command(stage: Stage) -> str:
    """Return a stage as it is typed in the folder of the sources."""
    return shlex.join(["python", COMMANDS[stage.command].script, *stage.words])
