"""Stages of an experiment: commands with what they read and what they leave."""

import shlex
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from opts import FUSED, parse_opts
from opts.table import OPTIONS
from sts_common.commands import COMMANDS

from .recipe import FILES, STREAMS, Options, Recipe, as_words

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
        reads: Files whose content its results depend on.
        leaves: Files that are there when it has ended.
        dear: Whether it takes hours, so that results by other options are not replaced unasked.
        may_fail: Whether exit code 2 with its results there counts as an end.
    """

    name: str
    command: str
    words: tuple[str, ...]
    reads: tuple[Path, ...]
    leaves: tuple[Path, ...]
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
    """Yield the extraction, if the recipe has videos, and the audit."""
    frames = str(recipe.options["frame_dir"])
    if recipe.videos:
        words = (str(recipe.videos), frames, *as_words(recipe.extract))
        yield Stage("extract", "extract", words, (), (Path(frames, "flow.json"), Path(frames, "frames.json")))
    words = (*as_words(only(recipe.options, (*OF_DATA, "sample_duration"))), *["--quarantine"] * recipe.quarantine)
    yield Stage("audit", "audit", words, (), (Path(frames, "manifest.jsonl"),), may_fail=recipe.quarantine)


def split_stages(recipe: Recipe, out: Path, split: int) -> Iterator[Stage]:
    """Yield the trainings of a split and its test."""
    folder = out / f"split{split}"
    best = {stream: folder / str(recipe.options["dataset"]) / f"{stream}_best.pth" for stream in STREAMS}
    common = ["--split", str(split), "--result_path", str(folder)]
    for stream in STREAMS:
        command, streams = TRAINS[stream]
        script = COMMANDS[command].script
        words = [*as_words(of_training(recipe, stream, script)), *streams, *common, "--run_name", stream]
        files = recipe.streams[stream]
        reads = [Path(str(files[key])) for key in FILES if key in files]
        if stream == "sfs":
            words += ["--resume_path1", str(best["flow"])]
            reads.append(best["flow"])
        parse_opts(words, script=script)  # an error now, not after days
        words += ["--resume", "auto"]
        yield Stage(f"split{split}_{stream}", command, tuple(words), tuple(reads), (best[stream],), dear=True)
    options = only(recipe.options, (*OF_DATA, "missing")) | recipe.test
    words = [*as_words(options), *common]
    words += [word for stream in STREAMS for word in ("--stream", f"{stream}={best[stream]}")]
    words += ["--scores_path", str(scores_of(out, split))]
    parse_opts(words, script=FUSED)
    yield Stage(f"split{split}_test", "fuse", tuple(words), tuple(best.values()), (scores_of(out, split),))


def of_training(recipe: Recipe, stream: str, script: str) -> Options:
    """Return the options of a training: those of the recipe that its script reads, and those of the stream."""
    others = {option.name for option in OPTIONS if script not in option.scripts}
    read = {option.name for option in OPTIONS if script in option.scripts}
    shared = {name: value for name, value in recipe.options.items() if name in read or name not in others}
    return {**shared, **recipe.streams[stream]}


def only(options: Options, kept: Collection[str]) -> Options:
    """Return some of the options."""
    return {name: value for name, value in options.items() if name in kept}


def scores_of(out: Path, split: int) -> Path:
    """Return the score file of a split."""
    return out / f"split{split}.npz"


def as_command(stage: Stage) -> str:
    """Return a stage as it is typed in the folder of the sources."""
    return shlex.join(["python", COMMANDS[stage.command].script, *stage.words])
