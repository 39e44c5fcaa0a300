"""The examples of docs/extending.md, from its text: added to a copy of the code, checked, and trained with."""

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

from models import build_model
from opts import parse_opts

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "extending.md").read_text("utf-8")
TITLES = r"^## (A network|A distillation loss|A loss with its own optimiser|A data set|A stream)\n(.*?)(?=^## )"
EXAMPLES = dict(re.findall(TITLES, PAGE, re.DOTALL | re.MULTILINE))
FILE = re.compile(r"^\*\*`(\S+)`\*\*\n\n```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
CHECK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"^```\npython (.*?)\n```", re.DOTALL | re.MULTILINE)
SMALLER = [*QUICK, "--batch_size", "2", "--sample_size", "32", "--sample_duration", "8"]
TRAIN = """
import importlib
from opts import parse_opts
script, *words = sys.argv[1:]
assert 0 <= importlib.import_module(script.removesuffix(".py")).main(parse_opts(words))["acc"] <= 1
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


def try_example(title: str, copy: Path, folder: Path, network: list[str], contract: str = "") -> None:
    """Run what the page checks of an example, then `contract`, then the command of the page, in `folder`."""
    rest = FILE.sub("", EXAMPLES[title])
    (check,), (command,) = CHECK.findall(rest), COMMAND.findall(rest)
    code = f"import sys\nsys.path[0] = {str(copy)!r}\n{check}{contract}{TRAIN}"
    words = [*shlex.split(command), *network, *SMALLER]
    command, environment = [sys.executable, "-c", code, *words], {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (best,) = folder.glob("results/*/*_best.pth")
    assert torch.load(best, weights_only=True)["epoch"] == 2  # the next one


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder with HMDB51 in it."""
    made = write_hmdb51(tmp_path / "made", train=2, test=1)
    (tmp_path / "dataset").mkdir()
    (made / "frames").rename(tmp_path / "dataset" / "HMDB51")
    (made / "labels").rename(tmp_path / "dataset" / "HMDB51_labels")
    return tmp_path


@pytest.mark.slow
def test_the_network_of_the_page_keeps_the_contract_and_trains(copy, folder):
    try_example("A network", copy, folder, [], CONTRACT)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("title", "terms"),
    [
        ("A distillation loss", ["loss_direction"]),
        ("A loss with its own optimiser", ["loss_adversary", "own_loss_adversary"]),
    ],
)
def test_the_losses_of_the_page_train_a_student(copy, folder, title, terms):
    teacher = build_model(parse_opts(TINY), 2, 3)
    torch.save({"arch": "resnet-10", "state_dict": teacher.state_dict()}, folder / "flow.pth")
    try_example(title, copy, folder, TINY)
    (metrics,) = folder.glob("results/HMDB51/*/metrics.jsonl")
    assert all(f'"train_{term}"' in metrics.read_text() for term in terms)


@pytest.mark.slow
def test_the_data_set_of_the_page_is_listed_and_trained_on(copy, tmp_path):
    for action in ("jump", "high_kick"):
        for person in (1, 2, 3):
            write_frames(tmp_path / "dataset" / "Persons" / action / f"p0{person}_{action}_1", seed=person)
    try_example("A data set", copy, tmp_path, TINY)


@pytest.mark.slow
def test_the_stream_of_the_page_is_read_at_any_size_and_trained_on(copy, folder):
    try_example("A stream", copy, folder, TINY)


def test_every_code_block_of_the_page_is_part_of_an_example_that_runs():
    blocks = re.findall(r"^```(\w*)$", PAGE, re.MULTILINE)[::2]
    tried = [kind for _, kind, _ in FILE.findall("".join(EXAMPLES.values()))] + ["python", ""] * len(EXAMPLES)
    assert len(EXAMPLES) == 5
    assert sorted(blocks) == sorted([*tried, "text", "text"])  # and the map of the code, and a line of the table
