"""Runs of the training scripts that tests share: by their names, others that go on from them, and what both said."""

import json
from collections.abc import Mapping
from pathlib import Path

from helpers import TINY, words_for
from runs import differences

import STS_train
import train
from engine import checkpoint
from opts import DISTILL, TRAIN, parse_opts

STEPS = "--n_epochs 2 --batch_size 2 --checkpoint 1 --save_steps 2 --keep 9 --learning_rate 0.001".split()
HERE = ("result_path", "given", "resume")  # options in which a resumed run differs


def trained(root: Path, results: Path, networks: Mapping[str, str]) -> dict[str, Path]:
    """Best checkpoints of tiny networks, by the names of their runs; each is given by its options of train.py."""
    for name, words in networks.items():
        options = [*words_for(root, results, TINY, TRAIN), "--run_name", name, *words.split()]
        train.main(parse_opts(options, TRAIN))
    return {name: results / "HMDB51" / f"{name}_best.pth" for name in networks}


def distil(root: Path, folder: Path, *words: str) -> Path:
    """Results of a run that is called s."""
    STS_train.main(parse_opts([*words_for(root, folder, script=DISTILL), "--run_name", "s", *words], DISTILL))
    return folder / "HMDB51"


def resumed(root: Path, folder: Path, whole: Path, position: str, *words: str) -> list[str]:
    """Differences of a run that went on from a checkpoint of another from the other."""
    parts = distil(root, folder, *words, "--resume", str(whole / f"s_{position}.pth"))
    ends = []
    for results in (whole, parts):
        state = checkpoint.load(results / "s_2.pth")
        state["options"] = {name: value for name, value in state["options"].items() if name not in HERE}
        ends.append(state)
    return differences(*ends)


def metrics(results: Path) -> list[dict]:
    """Return the metrics of each epoch of a run."""
    return [json.loads(line) for line in (results / "s" / "metrics.jsonl").read_text().splitlines()]
