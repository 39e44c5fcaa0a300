"""File names of a run: its `--run_name`, else the patterns of the published code, which state its main options."""

import re
from argparse import Namespace
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple

NAME = re.compile(r"(?![-.])[\w.+-]+")
MAX_LENGTH = 100  # characters of a file's name that streams may take: names of users, and a name has 255 bytes


class RunFiles(NamedTuple):
    """Files that a run writes."""

    checkpoint: str  # path with "{}" for the epoch
    best: Path  # the checkpoint of the best epoch
    train_log: Path  # tab-separated log of training
    val_log: Path  # tab-separated log of validation
    folder: Path  # metrics.jsonl, options and curves


def checked_name(name: object) -> str:
    """Return a name of a run that can begin file names; refuse any other.

    Raises ValueError if it is none.
    """
    text = str(name)
    if not NAME.fullmatch(text) or len(text.encode()) > MAX_LENGTH:
        raise ValueError(
            f"--run_name {text[:MAX_LENGTH]!r}: use letters, digits and _ + . -, beginning with no . or -, of at most "
            f"{MAX_LENGTH} bytes"
        )
    return text


def named_files(folder: Path, name: object) -> RunFiles:
    """Name the files of a run by its own name, such as `--run_name`; raises as `checked_name`."""
    stem = folder / checked_name(name)
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


def network_name(model: str, depth: int | None) -> str:
    """Return the network as names of files have it, like "resnext101"; some have no depth, and no name has a colon."""
    return f"{model.replace(':', '-')}{depth or ''}"


def single_stream_files(opt: Namespace) -> RunFiles:
    """Name the files of `train.py`."""
    folder = Path(opt.result_path) / opt.dataset
    if opt.run_name is not None:
        return named_files(folder, opt.run_name)
    prefix = "PreKin_" if opt.pretrain_path else ""
    network = network_name(opt.model, opt.model_depth)

    def stem(subset: str) -> str:
        return (
            f"{prefix}{opt.dataset}_{opt.split}_{opt.modality}_{subset}_batch{opt.batch_size}"
            f"_sample{opt.sample_size}_clip{opt.sample_duration}_nest{opt.nesterov}_damp{opt.dampening}"
            f"_weight_decay{opt.weight_decay}_manualseed{opt.manual_seed}_model{network}"
            f"_ftbeginidx{opt.ft_begin_index}_varLR"
        )

    return published_files(folder, stem, "{}")


def student_name(losses: Collection[str]) -> str:
    """Return the published code's word for a student of these losses, in the names of files and of log columns."""
    return "MERS" if "mers" in losses else "SFS"


def distillation_files(opt: Namespace) -> RunFiles:
    """Name the files of `STS_train.py`; logs carry the prefix of a pre-trained run, checkpoints do not."""
    folder = Path(opt.result_path) / opt.dataset
    if opt.run_name is not None:
        return named_files(folder, opt.run_name)
    student, network = student_name(opt.distill), network_name(opt.model, opt.model_depth)
    layer = (opt.output_layers or ["avgpool"])[0]

    def stem(subset: str) -> str:
        return (
            f"{student}_{opt.dataset}_{opt.split}_{subset}_batch{opt.batch_size}_sample{opt.sample_size}"
            f"_clip{opt.sample_duration}_lr{opt.learning_rate}_nesterov{opt.nesterov}_manualseed{opt.manual_seed}"
            f"_model{network}_ftbeginidx{opt.ft_begin_index}_layer{layer}_alpha{opt.SFS_alpha}"
        )

    return published_files(folder, stem, "_{}", "PreKin_" if opt.pretrain_path else "")


def single_test_file(opt: Namespace) -> Path:
    """Name the result file of `test_single_stream.py`."""
    network = network_name(opt.model, opt.model_depth)
    name = f"{network}_{opt.dataset}_{opt.split}_{opt.modality}_{opt.sample_duration}"
    return file_of_test(Path(opt.result_path) / opt.dataset, opt.run_name, name, opt.test_subset)


def fused_test_file(opt: Namespace, streams: str) -> Path:
    """Name the result file of `test_two_stream.py`; `streams` is like "RGB_SFS"."""
    streams = re.sub(r"[^\w.+-]", "_", streams, flags=re.ASCII)[:MAX_LENGTH]
    network = network_name(opt.model, opt.model_depth)
    name = f"{streams}_{network}_{opt.dataset}_{opt.split}_{opt.sample_duration}"
    return file_of_test(Path(opt.result_path) / opt.dataset, opt.run_name, name, opt.test_subset, f"_{streams}")


def file_of_test(folder: Path, run_name: object, published: str, subset: str, streams: str = "") -> Path:
    """Name a result file in a folder: by the name of the run and the streams, or as published without one.

    The subset is the one whose videos it has; "test", the test list's, needs no mention.
    """
    name = published if run_name is None else f"{checked_name(run_name)}{streams}"
    return folder / f"test_{name}{'' if subset == 'test' else f'_{subset}'}.txt"
