"""File names of a run: its `--run_name`, else the patterns of the published code, which state its main options."""

import re
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

NAME = re.compile(r"(?![-.])[\w.+-]+")
LONGEST = 100  # characters of a file's name that streams may take: names of users, and a name has 255 bytes


class RunFiles(NamedTuple):
    """Files that a run writes.

    Attributes:
        checkpoint: Path with "{}" for the epoch.
        best: The checkpoint of the best epoch.
        train_log: Tab-separated log of training.
        val_log: Tab-separated log of validation.
        folder: metrics.jsonl, options and curves.
    """

    checkpoint: str
    best: Path
    train_log: Path
    val_log: Path
    folder: Path


def result_dir(opt: Namespace) -> Path:
    """Return `{result_path}/{dataset}`."""
    return Path(opt.result_path) / opt.dataset


def checked_name(name: object) -> str:
    """Return a name of a run that can begin file names; refuse any other.

    Raises:
        ValueError: If it is none.
    """
    text = str(name)
    if not NAME.fullmatch(text) or len(text.encode()) > LONGEST:
        raise ValueError(
            f"--run_name {text[:LONGEST]!r}: use letters, digits and _ + . -, beginning with no . or -, of at most "
            f"{LONGEST} bytes"
        )
    return text


def named_files(opt: Namespace) -> RunFiles:
    """Name the files of a run with `--run_name`, whichever script it is of."""
    stem = result_dir(opt) / checked_name(opt.run_name)
    return RunFiles(
        checkpoint=f"{stem}_{{}}.pth",
        best=Path(f"{stem}_best.pth"),
        train_log=Path(f"{stem}_train.log"),
        val_log=Path(f"{stem}_val.log"),
        folder=stem,
    )


def published_files(root: Path, stem: Callable[[str], str], epoch: str, log_prefix: str = "") -> RunFiles:
    """Name the files of a run by the `stem` of "train", but its validation log by that of "val"."""
    train = stem("train")
    return RunFiles(
        checkpoint=f"{root / train}{epoch}.pth",
        best=root / f"{train}_best.pth",
        train_log=root / f"{log_prefix}{train}.log",
        val_log=root / f"{log_prefix}{stem('val')}.log",
        folder=root / train,
    )


def single_stream_files(opt: Namespace) -> RunFiles:
    """Name the files of `train.py`."""
    if opt.run_name is not None:
        return named_files(opt)
    prefix = "PreKin_" if opt.pretrain_path else ""

    def stem(subset: str) -> str:
        return (
            f"{prefix}{opt.dataset}_{opt.split}_{opt.modality}_{subset}_batch{opt.batch_size}"
            f"_sample{opt.sample_size}_clip{opt.sample_duration}_nest{opt.nesterov}_damp{opt.dampening}"
            f"_weight_decay{opt.weight_decay}_manualseed{opt.manual_seed}_model{opt.model}{opt.model_depth}"
            f"_ftbeginidx{opt.ft_begin_index}_varLR"
        )

    return published_files(result_dir(opt), stem, "{}")


def student_name(opt: Namespace) -> str:
    """Return the published code's word for a student, in the names of files and of log columns."""
    return "MERS" if "mers" in opt.distill else "SFS"


def distillation_files(opt: Namespace) -> RunFiles:
    """Name the files of `STS_train.py`; logs carry the prefix of a pre-trained run, checkpoints do not."""
    if opt.run_name is not None:
        return named_files(opt)
    layer = (opt.output_layers or ["avgpool"])[0]

    def stem(subset: str) -> str:
        return (
            f"{student_name(opt)}_{opt.dataset}_{opt.split}_{subset}_batch{opt.batch_size}_sample{opt.sample_size}"
            f"_clip{opt.sample_duration}_lr{opt.learning_rate}_nesterov{opt.nesterov}_manualseed{opt.manual_seed}"
            f"_model{opt.model}{opt.model_depth}_ftbeginidx{opt.ft_begin_index}_layer{layer}_alpha{opt.SFS_alpha}"
        )

    return published_files(result_dir(opt), stem, "_{}", "PreKin_" if opt.pretrain_path else "")


def single_test_file(opt: Namespace) -> Path:
    """Name the result file of `test_single_stream.py`."""
    network = f"{opt.model}{opt.model_depth}_{opt.dataset}_{opt.split}_{opt.modality}_{opt.sample_duration}"
    name = network if opt.run_name is None else checked_name(opt.run_name)
    return result_dir(opt) / f"test_{name}{of_subset(opt)}.txt"


def fused_test_file(opt: Namespace, streams: str) -> Path:
    """Name the result file of `test_two_stream.py`; `streams` is like "RGB_SFS"."""
    streams = re.sub(r"[^\w.+-]", "_", streams, flags=re.ASCII)[:LONGEST]
    name = f"{streams}_{opt.model}{opt.model_depth}_{opt.dataset}_{opt.split}_{opt.sample_duration}"
    if opt.run_name is not None:
        name = f"{checked_name(opt.run_name)}_{streams}"
    return result_dir(opt) / f"test_{name}{of_subset(opt)}.txt"


def of_subset(opt: Namespace) -> str:
    """Return the part of a result file's name that says whose videos it has, other than the test list's."""
    return "" if opt.test_subset == "test" else f"_{opt.test_subset}"
