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

from .inputs import frame_records, list_files, made_by, named_files
from .recipe import STREAMS, Options, Recipe, as_words

OF_DATA = ("dataset", "frame_dir", "annotation_path", "layout", "video_fps")  # what the audit and the tests read, too
TRAINS = {
    "rgb": ("train", ["--modality", "RGB", "--only_RGB"]),
    "flow": ("train", ["--modality", "Flow"]),
    "sfs": ("distill", ["--modality", "RGB_Flow"]),
}
# Options that change no result: a run goes on with others, on another machine.
OF_SPEED = ("n_workers", "loader", "decoder", "cache", "device", "clips_per_batch", "log", "resume")


@dataclass(frozen=True)
class Stage:
    """A command of an experiment.

    Attributes:
        name: Of the stage, and of its record.
        command: A key of `COMMANDS`.
        words: Its words.
        reads: Files whose content its results depend on; some need not be there.
        leaves: Files that are there when it has ended.
        sections: Of the recipe, that hold its options.
        dear: Whether it takes hours, so that results by other options are not replaced unasked.
        may_fail: Whether exit code 2 with its results there counts as an end.
    """

    name: str
    command: str
    words: tuple[str, ...]
    reads: tuple[Path, ...]
    leaves: tuple[Path, ...]
    sections: tuple[str, ...] = ()
    dear: bool = False
    may_fail: bool = False

    @property
    def settings(self) -> list[str]:
        """The words without options that change no result."""
        kept, counts = [], True
        for word in self.words:
            if word.startswith("--"):
                counts = word[2:] not in OF_SPEED
            if counts:
                kept.append(word)
        return kept


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
    words = (*as_words(only(recipe.options, (*OF_DATA, "sample_duration"))), *["--quarantine"] * recipe.quarantine)
    reads = (*list_files(Path(str(recipe.options["annotation_path"])), SPLITS), *made_by(Path(frames)))
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
        command, streams = TRAINS[stream]
        script = COMMANDS[command].script
        sections = training_sections(recipe, stream, script)
        ended, teacher = [*streams, *common, "--run_name", stream], []
        if stream == "sfs":
            ended += ["--resume_path1", str(best["flow"])]
            teacher = [best["flow"]]
        parse_sections(recipe, sections, ended, script)  # an error now, not after days
        options = together(sections)
        words = (*as_words(options), *ended, "--resume", "auto")
        reads = dict.fromkeys([*named_files(options), *data, *teacher])
        yield Stage(f"split{split}_{stream}", command, words, tuple(reads), (best[stream],), tuple(sections), dear=True)
    sections = {"options": only(recipe.options, (*OF_DATA, "missing")), "test": recipe.test}
    ended = [*common, *(word for stream in STREAMS for word in ("--stream", f"{stream}={best[stream]}"))]
    ended += ["--scores_path", str(scores_of(out, split))]
    parse_sections(recipe, sections, ended, FUSED)
    options = together(sections)
    reads = dict.fromkeys([*named_files(options), *data, *best.values()])
    words = (*as_words(options), *ended)
    yield Stage(f"split{split}_test", "fuse", words, tuple(reads), (scores_of(out, split),), tuple(sections))


def training_sections(recipe: Recipe, stream: str, script: str) -> dict[str, Options]:
    """Return the options of a training by section: those of the recipe that its script reads, and the stream's."""
    others = {option.name for option in OPTIONS if script not in option.scripts}
    read = {option.name for option in OPTIONS if script in option.scripts}
    shared = {name: value for name, value in recipe.options.items() if name in read or name not in others}
    return {"options": shared, stream: recipe.streams[stream]}


def together(sections: Mapping[str, Options]) -> Options:
    """Return the options of all sections; the later ones hold."""
    return {name: value for options in sections.values() for name, value in options.items()}


def parse_sections(recipe: Recipe, sections: Mapping[str, Options], ended: Sequence[str], script: str) -> Namespace:
    """Parse the options of sections of a recipe, followed by words that are not the recipe's.

    Raises ValueError, which names the recipe and the section that is wrong by itself, or all of them if none is.
    """
    try:
        return parsed([*as_words(together(sections)), *ended], script)
    except ValueError as error:
        wrong = [
            name for name, options in sections.items() if refusal([*as_words(options), *ended], script) == str(error)
        ]
        raise ValueError(f"{recipe.path}: {' and '.join(wrong[-1:] or sections)}: {error}") from None


def refusal(words: Sequence[str], script: str) -> str:
    """Return why a script refuses words, "" if it takes them."""
    try:
        parsed(words, script)
    except ValueError as error:
        return str(error)
    return ""


def parsed(words: Sequence[str], script: str) -> Namespace:
    """Parse words as a script does; raises ValueError with the reason, where the script would end."""
    said = StringIO()
    try:
        with redirect_stderr(said):
            return parse_opts(words, script=script)
    except SystemExit:
        reason = said.getvalue().strip().removeprefix("error: ").removesuffix(" (see --help)")
        raise ValueError(reason or "help is no option of a recipe") from None


def only(options: Options, kept: Collection[str]) -> Options:
    """Return some of the options."""
    return {name: value for name, value in options.items() if name in kept}


def scores_of(out: Path, split: int) -> Path:
    """Return the score file of a split."""
    return out / f"split{split}.npz"


def as_command(stage: Stage) -> str:
    """Return a stage as it is typed in the folder of the sources."""
    return shlex.join(["python", COMMANDS[stage.command].script, *stage.words])
