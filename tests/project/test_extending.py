"""The examples of docs/extending.md, from its text: added to a copy of the code, checked, and trained with."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers import QUICK, TINY, write_frames, write_hmdb51
from source_files import ROOT

from models import build_model
from opts import parse_opts

PAGE = (ROOT / "docs" / "extending.md").read_text("utf-8")
TITLES = r"^## (A network|A distillation loss|A loss with its own optimiser|A data set|A stream)\n(.*?)(?=^## )"
EXAMPLES = dict(re.findall(TITLES, PAGE, re.DOTALL | re.MULTILINE))
FILE = re.compile(r"^\*\*`(\S+)`\*\*\n\n```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
CHECK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"^```\npython (.*?)\n```", re.DOTALL | re.MULTILINE)
SMALLER = [*QUICK, "--batch_size", "2", "--sample_size", "32", "--sample_duration", "8"]
# Each example is tried in one process, for they are parts of the same copy; those that end well are named at the end.
TRY = """
import importlib, json, os, sys, traceback
sys.path[0] = {copy!r}
from opts import parse_opts
ended = []
for title, folder, code, words in json.loads({examples!r}):
    os.chdir(folder)
    try:
        exec(code, {{"__name__": title}})
        script, *words = words
        assert 0 <= importlib.import_module(script.removesuffix(".py")).main(parse_opts(words))["acc"] <= 1
        ended.append(title)
    except BaseException:
        traceback.print_exc()
print(json.dumps(ended))
"""
# What the tests ask of the networks that are there, of the network and the output that the page has made.
CONTRACT = """
from datasets import RGB
from models import StreamNetwork, inference_ready, parameter_groups

stages = list(network.stages)
assert list(out.features) == [*(name for stage in stages for name in (f"{stage}_preact", stage)), "avgpool"]
for stage in stages:
    assert torch.equal(out.features[f"{stage}_preact"].relu(), out.features[stage])
    assert (out.features[f"{stage}_preact"] < 0).any()
out.logits.square().sum().backward()
assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []
assert {group["lr"] for group in parameter_groups(network, 4, 0.1)} == {0, 0.1}
model, clips = StreamNetwork(network, RGB).eval(), {"rgb": torch.randint(0, 256, (2, 3, 5, 33, 18), dtype=torch.uint8)}
with torch.inference_mode():
    torch.testing.assert_close(inference_ready(model)(clips).logits, model(clips).logits, atol=1e-3, rtol=1e-3)
"""


def patched(text: str, diff: str) -> str:
    """A file after a diff, whose hunks are parted by @@ and do not say where they belong."""
    for hunk in diff.split("@@\n"):
        before, after = (
            "".join(f"{line[1:]}\n" for line in hunk.splitlines() if line[0] in kept) for kept in (" -", " +")
        )
        assert text.count(before) == 1, f"is there {text.count(before)} times:\n{before}"
        text = text.replace(before, after)
    return text


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """The code with the files of all examples."""
    copy = tmp_path_factory.mktemp("extended") / "code"
    unwanted = shutil.ignore_patterns(".*", "tests", "docs", "results", "build", "*.egg-info")
    shutil.copytree(ROOT, copy, ignore=unwanted)
    for path, kind, text in FILE.findall(PAGE):
        file = copy / path
        assert file.exists() == (kind == "diff"), path
        file.write_text(patched(file.read_text("utf-8"), text) if kind == "diff" else text, "utf-8")
    return copy


def hmdb51_in(folder: Path) -> None:
    """HMDB51 where the page has it, and a teacher of flow."""
    made = write_hmdb51(folder / "made", train=2, test=1)
    (folder / "dataset").mkdir()
    (made / "frames").rename(folder / "dataset" / "HMDB51")
    (made / "labels").rename(folder / "dataset" / "HMDB51_labels")
    teacher = build_model(parse_opts(TINY), 2, 3)
    torch.save({"arch": "resnet-10", "state_dict": teacher.state_dict()}, folder / "flow.pth")


def persons_in(folder: Path) -> None:
    """Frames in the folders that the data set of the page has."""
    for action in ("jump", "high_kick"):
        for person in (1, 2, 3):
            write_frames(folder / "dataset" / "Persons" / action / f"p0{person}_{action}_1", seed=person)


@pytest.fixture(scope="module")
def tried(copy, tmp_path_factory) -> dict[str, Path]:
    """Folders of the examples that end well: what the page checks of each, what is asked besides, and its command."""
    folders, examples = {}, []
    for title, text in EXAMPLES.items():
        folders[title] = folder = tmp_path_factory.mktemp("example")
        (persons_in if title == "A data set" else hmdb51_in)(folder)
        rest = FILE.sub("", text)
        (check,), (command,) = CHECK.findall(rest), COMMAND.findall(rest)
        network, contract = ([], CONTRACT) if title == "A network" else (TINY, "")
        examples.append((title, str(folder), check + contract, [*shlex.split(command), *network, *SMALLER]))
    code = TRY.format(copy=str(copy), examples=json.dumps(examples))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=copy.parent, env=environment, capture_output=True, text=True, check=False)
    print(done.stderr)  # which pytest shows where a test fails
    return {title: folders[title] for title in json.loads(done.stdout.splitlines()[-1])}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("title", "terms"),
    [
        ("A network", []),
        ("A distillation loss", ["loss_direction"]),
        ("A loss with its own optimiser", ["loss_adversary", "own_loss_adversary"]),
        ("A data set", []),
        ("A stream", []),
    ],
)
def test_the_examples_of_the_page_are_as_it_says_and_train(tried, title, terms):
    """The network keeps the contract, the data set is listed, the stream is read at any size."""
    assert title in tried
    (best,) = tried[title].glob("results/*/*_best.pth")
    assert torch.load(best, weights_only=True)["epoch"] == 2  # the next one
    (metrics,) = tried[title].glob("results/*/*/metrics.jsonl")
    assert all(f'"train_{term}"' in metrics.read_text() for term in terms)


def test_every_code_block_of_the_page_is_part_of_an_example_that_runs():
    blocks = re.findall(r"^```(\w*)$", PAGE, re.MULTILINE)[::2]
    tried = [kind for _, kind, _ in FILE.findall("".join(EXAMPLES.values()))] + ["python", ""] * len(EXAMPLES)
    assert len(EXAMPLES) == 5
    assert sorted(blocks) == sorted([*tried, "text", "text"])  # and the map of the code, and a line of the table
