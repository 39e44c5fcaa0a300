"""Next steps after a training: its best checkpoint, and the commands that use it."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from datasets import FLOW, MODALITIES, RGB, Stream, modality_of
from engine.command.config import read_options as read_config
from engine.command.naming import RunFiles
from engine.training.best import Best
from opts import DISTILL, FINE_TUNING, FUSED, SINGLE, TRAIN, build_parser

from ..shared.command_lines import actions, command, words_of
from ..shared.score_facts import was_distilled

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast where libyaml is there
# Where the data are and how they are read on this machine, which no checkpoint says.
DATA = (
    *("dataset", "frame_dir", "annotation_path", "split", "only_RGB", "layout", "video_fps"),
    *("missing", "n_workers", "loader", "decoder", "result_path", "device", "amp"),
)
PLACE = ("frame_dir", "layout", "video_fps")  # where the streams of a run are, and how they are read
# Of a teacher's training, and nothing to its student.
TEACHER_ONLY = {
    *("modality", "only_RGB", "run_name", "resume", "resume_path1", "SFS_resume_path", "resume_anyway", "config"),
    *("teacher", "teacher_losses", "pretrain_path", "ft_begin_index", "freeze_BN", "partial_BN", "n_classes"),
    *("n_finetune_classes", "input_channels", "begin_epoch", "mixup", "cutmix", "profile", "debug", "given"),
}


def next_lines(files: RunFiles, best: Best | None, options: Mapping[str, Any]) -> list[str]:
    """Describe the best checkpoint of a finished training and the next commands; nothing if it was not kept.

    The validation is that of the best epoch, None where no classes were learnt; the options are those that the run's
    checkpoints state.
    """
    if not files.best.exists():
        return []
    least = f"best checkpoint: {files.best} (of the least validation loss)"
    if options.get("motion") == "alone":
        return [least, f"next, learn the classes: {joint_command(files.best, options)}"]
    data = {name: options[name] for name in DATA}
    data["only_RGB"] |= options["flow_source"] == "online"  # where flow is computed there need be none on the disk
    if best is None:
        retrieval, fine_tuning = commands_without_classes(files.best, data, options)
        return [least, f"next, see what its features know: {retrieval}", f"or learn the classes: {fine_tuning}"]
    folder, stream = Path(options["result_path"]) / options["dataset"], MODALITIES[options["modality"]][0]
    others = {other: newest_best(folder, other, options["split"]) for other in ("RGB", "Flow")}
    if stream == RGB and (flow := others["Flow"]):  # a student of it reads the flow that it has read
        place = place_of(flow)
        options, others["Flow"] = {**options, **place}, flow if place else None
    steps = next_steps(
        stream,
        files.best,
        others,
        data={script: words_of(data, script) for script in (SINGLE, FUSED)},
        student=student_words(options),
        distilled=bool(was_distilled({"options": options})),
    )
    lucky = f"; the highest, {best.highest:.3f}, is not above it beyond chance" if best.highest > best.accuracy else ""
    lines = [f"best checkpoint: {files.best} (validation accuracy {best.accuracy:.3f}{lucky})"]
    return lines + [f"{aim}: {line}" for aim, line in steps]


def commands_without_classes(best: Path, data: Mapping[str, Any], options: Mapping[str, Any]) -> tuple[str, str]:
    """Return the commands that retrieve videos with, and that fine-tune, a network that was trained without labels."""
    modality = modality_of(MODALITIES[options["modality"]][:1])
    further: dict[str, Any] = {**data, "modality": modality, "pretrain_path": str(best), "ft_begin_index": 0}
    if options["run_name"]:
        further["run_name"] = f"{options['run_name']}_finetuned"
    retrieval = command("test_retrieval.py", ["--resume_path1", best, *words_of(data, SINGLE)])
    return retrieval, command(TRAIN, words_of(further, TRAIN))


def joint_command(best: Path, options: Mapping[str, Any]) -> str:
    """Return the command that goes on from a network that was trained on motion alone."""
    run_name = options["run_name"]
    further = {"pretrain_path": str(best), "ft_begin_index": 0, "motion": "joint"}
    further |= {"run_name": f"{run_name}_joint"} if run_name else {}
    settings = {n: value for n, value in options.items() if n not in ("learning_rate", "weight_decay", "resume")}
    return command(TRAIN, words_of(settings | further, TRAIN))


def student_words(options: Mapping[str, Any]) -> list[str]:
    """Return the words of STS_train.py for a network like that of a run with these options, trained in the same way.

    What the `--config` file of the run sets for a distillation holds for it, and so does the number of epochs there,
    for a teacher may be trained for fewer on trial. A file that several trainings can share is named; one with options
    of the teacher alone, like its stream, is written out.
    """
    path, run_name = options.get("config"), options["run_name"]
    file_options = options_in_file(path) if path else {}
    settings = {
        name: value
        for name, value in student_options(options).items()
        if name != "n_epochs" or name not in file_options
    }
    named = ["--run_name", f"{run_name}_sfs"] if run_name else []
    if path and not file_options.keys() & TEACHER_ONLY:
        return ["--config", str(path), *words_of(settings, DISTILL, file_options), *named]
    shared = {name: value for name, value in file_options.items() if name not in TEACHER_ONLY}
    return words_of(shared | settings, DISTILL) + named


def student_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a run that its student is trained with, of those that the run has read or was given."""
    script = DISTILL if was_distilled({"options": options}) else TRAIN
    read = {action.dest for action in actions(script)} | {*options.get("given", ())}
    settings = {name: value for name, value in options.items() if name in read - TEACHER_ONLY}
    if options["pretrain_path"]:  # the student has no weights to fine-tune: it learns as from scratch
        settings = {name: value for name, value in settings.items() if (name, value) not in FINE_TUNING.items()}
    return settings


def options_in_file(path: str) -> dict[str, Any]:
    """Read what a `--config` file sets for STS_train.py; nothing where it is wrong, which that command will say."""
    try:
        return read_config(build_parser(DISTILL), Path(path))
    except (OSError, ValueError):
        return {}


def next_steps(
    stream: Stream,
    best: Path,
    others: Mapping[str, Path | None],
    *,
    data: Mapping[str, Sequence[str]],
    student: Sequence[str],
    distilled: bool,
) -> Iterator[tuple[str, str]]:
    """Yield aims and the commands for them, for the best checkpoint of a network that reads a stream.

    `others` are the best checkpoints of the newest other run of each modality, None where there is none; `data` has the
    words of the data by test script, `student` those of a student of the network.
    """
    test = command(SINGLE, ["--modality", modality_of([stream]), "--resume_path1", best, *data[SINGLE]])
    if stream == FLOW:
        yield "next, distil it into an RGB network", distillation_command(best, student)
    elif stream == RGB and not distilled:
        yield "next, test it", test
        if flow := others["Flow"]:
            yield f"or distil {flow.name}", distillation_command(flow, student)
    elif stream != RGB:
        yield "next, test it", test
        if rgb := others["RGB"]:
            both = ["--stream", f"rgb={rgb}", "--stream", f"{stream.name}={best}", *data[FUSED]]
            yield "or test it together with the RGB network", command(FUSED, both)
    elif rgb := others["RGB"]:
        words = ["--modality", "RGB", "--resume_path1", rgb, "--resume_path2", best, *data[FUSED]]
        yield "next, test it together with the RGB network", command(FUSED, words)
    else:
        yield "next, test it (and train.py --modality RGB makes the network it is fused with)", test


def distillation_command(teacher: Path, student: Sequence[str]) -> str:
    """Return the command that distils a flow network into a student of these words."""
    return command(DISTILL, ["--modality", "RGB_Flow", "--resume_path1", teacher, *student])


def place_of(best: Path) -> dict[str, Any]:
    """Return where the run of a best checkpoint found its videos; nothing if they are not there, as seen from here."""
    options = read_options(best.with_name(best.name.removesuffix("_best.pth")) / "options.yaml")
    place = {name: options[name] for name in PLACE if name in options}
    return place if "frame_dir" in place and Path(place["frame_dir"]).is_dir() else {}


def newest_best(folder: Path, modality: str, split: int) -> Path | None:
    """Find the best checkpoint of the newest run of a modality on a split, whose files lie in a folder."""
    files = []
    for file in folder.glob("*/options.yaml"):
        best, options = file.parent.with_name(f"{file.parent.name}_best.pth"), read_options(file)
        if (
            best.exists()
            and options.get("modality") == modality
            and not options.get("teacher")
            and options.get("split") == split
        ):
            files.append(best)
    return max(files, key=lambda path: path.stat().st_mtime, default=None)


def read_options(path: Path) -> dict[str, Any]:
    """Read the stored options of a run; none where the file is damaged, for nothing depends on them."""
    try:
        options = yaml.load(path.read_text("utf-8"), LOADER)
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return options if isinstance(options, dict) else {}
