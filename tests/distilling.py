"""Runs of STS_train.py that tests share: a run by its name, another that goes on from it, and what both said."""

import json
from pathlib import Path

from helpers import words_for
from runs import differences

import STS_train
from engine import checkpoint
from opts import DISTILL, parse_opts

STEPS = "--n_epochs 2 --batch_size 2 --checkpoint 1 --save_steps 1 --keep 9 --learning_rate 0.001".split()
HERE = ("result_path", "given", "resume")  # options in which a resumed run differs


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
    """What a run has written down of each epoch."""
    return [json.loads(line) for line in (results / "s" / "metrics.jsonl").read_text().splitlines()]
