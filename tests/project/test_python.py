"""docs/python.md: its code, run from its text, block after block; and what `sts_net` offers."""

import re
from pathlib import Path

import pytest
from helpers import write_film_videos
from pages import code
from source_files import ROOT

import sts_net
from datasets.synthetic import CLASSES
from engine import scores

PAGE = (ROOT / "docs" / "python.md").read_text("utf-8")
CODE = "\n".join(code("docs/python.md"))
SMALLER = {
    "short_side=128": "short_side=32",
    "length=16, size=112": "length=8, size=32",
    "depth=18": "depth=10, width=0.125",
    "n_epochs=30": "n_epochs=1",
}


@pytest.mark.slow
def test_the_code_of_the_page_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_film_videos()
    smaller = CODE
    for long, short in SMALLER.items():
        assert long in smaller
        smaller = smaller.replace(long, short)
    names: dict = {}
    exec(compile(smaller, "docs/python.md", "exec"), names)
    printed = capsys.readouterr().out.splitlines()
    assert "4 of 4 videos, 2 classes" in printed
    assert "{'rgb': (2, 3, 8, 32, 32), 'flow': (2, 2, 8, 32, 32)}" in printed
    assert any(re.fullmatch(r"results/rgb_best\.pth: [01]\.\d{3} on the validation videos", line) for line in printed)
    assert any(re.fullmatch(rf"{CLASSES[0]} [01]\.\d{{3}}", line) for line in printed)
    assert names["scores"].streams == ["rgb", "sfs"]
    assert names["student"].network.state_dict().keys() == names["networks"]["sfs"].network.state_dict().keys()
    assert {path.name for path in Path("results").glob("*_best.pth")} == {
        f"{n}_best.pth" for n in ("rgb", "flow", "sfs")
    }
    assert Path("sts.pt2").is_file()
    names["scores"].save(tmp_path / "scores.npz", names["fused"])
    assert scores.load(tmp_path / "scores.npz").video == names["scores"].video


def test_every_function_of_the_page_is_offered_and_says_what_it_takes():
    named = set(re.findall(r"sts_net\.(\w+)\b(?!\.\w+\()", CODE))
    named |= set(re.findall(r"`(\w+)\(", PAGE.partition("## And more")[2]))
    assert named <= set(dir(sts_net))
    for name in dir(sts_net):
        offered = getattr(sts_net, name)
        assert not callable(offered) or offered.__doc__, name


def test_what_is_not_offered_is_said_by_name():
    with pytest.raises(AttributeError, match=r"module 'sts_net' has no attribute 'Predict': see sts_net\.api"):
        _ = sts_net.Predict
