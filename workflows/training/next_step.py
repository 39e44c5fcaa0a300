"""Next steps after a training: its best checkpoint, and the commands that use it."""

from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from datasets import FLOW, MODALITIES, RGB, SINGLE_STREAMS
from engine.command.naming import RunFiles, result_dir
from opts import DISTILL, FINE_TUNING, FUSED, SINGLE

from ..shared.command_lines import command, words_of

# Where the data are and how they are read on this machine, which no checkpoint says.
DATA = (
    *("dataset", "frame_dir", "annotation_path", "split", "only_RGB", "layout", "video_fps"),
    *("missing", "n_workers", "loader", "decoder", "result_path", "device", "amp"),
)
# Of a teacher's training, and nothing to its student.
TEACHERS_OWN = frozenset(
    (
        *("modality", "only_RGB", "run_name", "resume", "resume_path1", "SFS_resume_path", "resume_anyway", "config"),
        *("pretrain_path", "ft_begin_index", "freeze_BN", "partial_BN", "n_classes", "n_finetune_classes"),
        *("input_channels", "begin_epoch", "mixup", "cutmix", "profile", "debug", "given"),
    )
)


def next_lines(opt: Namespace, files: RunFiles, accuracy: float) -> list[str]:
    """Describe the best checkpoint of a finished training and the next commands; nothing if it was not kept.

    Args:
        opt: Options as used.
        files: Of the run.
        accuracy: Its best on the validation clips, in [0, 1].
    """
    if not files.best.exists():
        return []
    lines = [f"best checkpoint: {files.best} (validation accuracy {accuracy:.3f})"]
    return lines + [f"{aim}: {line}" for aim, line in next_steps(opt, files.best)]


def next_steps(opt: Namespace, best: Path) -> Iterator[tuple[str, str]]:
    """Return aims and the commands for them."""
    streams = MODALITIES[opt.modality]
    if streams == (FLOW,):
        yield "next, distil it into an RGB network", distilling(opt, best)
    elif streams == (RGB,):
        yield "next, test it", testing(opt, best)
        if flow := newest_best(opt, "Flow"):
            yield f"or distil {flow.name}", distilling(opt, flow)
    elif opt.modality in SINGLE_STREAMS:
        yield "next, test it", testing(opt, best)
        if rgb := newest_best(opt, "RGB"):
            pair = ["--stream", f"rgb={rgb}", "--stream", f"{streams[0].name}={best}", *data_words(opt, FUSED)]
            yield "or test it together with the RGB network", command(FUSED, pair)
    elif rgb := newest_best(opt, "RGB"):
        words = ["--modality", "RGB", "--resume_path1", rgb, "--resume_path2", best, *data_words(opt, FUSED)]
        yield "next, test it together with the RGB network", command(FUSED, words)
    else:
        yield "next, test it (and train.py --modality RGB makes the network it is fused with)", testing(opt, best)


def testing(opt: Namespace, best: Path) -> str:
    """Return the command that tests a network; one that had a teacher reads RGB."""
    modality = opt.modality if opt.modality in SINGLE_STREAMS else "RGB"
    return command(SINGLE, ["--modality", modality, "--resume_path1", best, *data_words(opt, SINGLE)])


def data_words(opt: Namespace, script: str) -> list[str]:
    """Return the options of the data; where flow is computed there need be none on the disk."""
    only_rgb = opt.only_RGB or opt.flow_source == "online"
    return words_of(Namespace(**vars(opt) | {"only_RGB": only_rgb}), DATA, script)


def distilling(opt: Namespace, teacher: Path) -> str:
    """Return the command that distils a flow network into an RGB network like it, trained in the same way."""
    names = vars(opt).keys() - TEACHERS_OWN
    if opt.pretrain_path:  # the student has no weights to fine-tune: it learns as from scratch
        names -= {name for name, value in FINE_TUNING.items() if getattr(opt, name) == value}
    words = ["--modality", "RGB_Flow", "--resume_path1", teacher, *words_of(opt, names, DISTILL)]
    return command(DISTILL, words + (["--run_name", f"{opt.run_name}_sfs"] if opt.run_name else []))


def newest_best(opt: Namespace, modality: str) -> Path | None:
    """Find the best checkpoint of the newest run of another kind on the same split, beside this one's."""
    found = []
    for file in result_dir(opt).glob("*/options.yaml"):
        best, options = file.parent.with_name(f"{file.parent.name}_best.pth"), read_options(file)
        if best.exists() and options.get("modality") == modality and options.get("split") == opt.split:
            found.append(best)
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def read_options(path: Path) -> dict[str, Any]:
    """Read the stored options of a run; none where the file is damaged, for nothing depends on them."""
    try:
        options = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return options if isinstance(options, dict) else {}
