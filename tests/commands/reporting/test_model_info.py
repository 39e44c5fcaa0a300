"""utils1/model_info.py: costs are the published ones, and the page of all networks is what the code says."""

import json

import pytest
from source_files import ROOT

from models.backbones.torchvision_networks import ENTRIES, published
from utils1 import model_info as command
from workflows.measuring import model_info as measuring
from workflows.measuring import model_zoo
from workflows.measuring.model_info import as_markdown, model_info, parse_network, speed
from workflows.measuring.model_zoo import as_page, counted_cells, entries, info_of

PAGE = (ROOT / "docs" / "model_zoo.md").read_text("utf-8")
SMALL = "resnet,depth=10,width=0.0625"


def info(*words: str) -> list[dict]:
    return command.main(command.parse_args(list(words)))


def test_multiply_adds_of_convolutions_are_apart():
    row = model_info("s3d,temporal_stride=off", num_classes=87, frames=8, size=224)
    assert (row["parameters"], row["convolutions"]) == (7_992_503, 19_778_626_560)  # as the study publishes them


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == "r3d_18" else [pytest.mark.slow]) for name in ENTRIES]
)
def test_costs_of_torchvisions_networks_are_those_that_it_states_attention_included(name):
    meta = published(f"torchvision:{name}").meta
    row = model_info(f"torchvision:{name}", frames=16)
    assert row["parameters"] == meta["num_params"]
    assert row["multiply_adds"] / 1e9 == pytest.approx(meta["_ops"], abs=1e-3)


def test_a_table_has_a_row_for_each_network_in_every_form(capsys):
    rows = info(SMALL, "c3d,width=0.0625", "--frames", "4", "--size", "32", "--modality", "Flow", "--format", "json")
    assert json.loads(capsys.readouterr().out) == rows
    assert [row["input"] for row in rows] == [[2, 4, 32, 32]] * 2
    info(SMALL, "--frames", "4", "--size", "32", "--format", "md")
    heads, rule, line = capsys.readouterr().out.splitlines()
    assert heads.startswith("| network | input | parameters, M |")
    assert rule.count("---:") == 6
    assert line.startswith(f"| {SMALL} | 3 x 4 x 32 x 32 |")
    info(SMALL)
    assert "3 x 16 x 112 x 112" in capsys.readouterr().out


def test_speeds_are_measured_in_the_formats_that_are_asked_for():
    (row,) = info(SMALL, *"--frames 4 --size 32 --measure float32 bf16 --seconds 0".split())
    assert set(row["clips_per_second"]) == {"float32", "bf16"}
    assert all(value > 0 for value in row["clips_per_second"].values())
    assert "clips/s of a core, bf16 |" in as_markdown([row])


def test_a_speed_is_the_median_of_calls_after_a_first_one(monkeypatch):
    seconds = iter([5.0, 0.5, 0.25, 9.0, 7.0])
    monkeypatch.setattr(measuring, "cpu_seconds", lambda call: (next(seconds), call()))
    calls: list[int] = []
    assert speed(lambda: calls.append(1), 14.0) == 2.0
    assert len(calls) == 4
    assert speed(lambda: calls.append(1), 7.0) == 1 / 7  # a slow one, once


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_int8_is_measured_as_an_exported_file():
    pytest.importorskip("nncf")
    pytest.importorskip("openvino")
    row = model_info(SMALL, frames=4, size=32, measure=["int8"], seconds=0)
    assert row["clips_per_second"]["int8"] > 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("resnet,wings=2", "resnet takes depth, shortcut, .*, not wings"),
        ("resnet,depth=many", "resnet,depth=many depth=many: expected a value like 0"),
        ("resnet", "needs --model_depth"),
        ("resnest", "choose one of resnext"),
        ("", "no network: name one"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(words, message):
    with pytest.raises(ValueError, match=message):
        info(*words.split())
    assert parse_network("vgg,dropout=0.9") == ("vgg", {"dropout": (0.9,)})


def test_int8_names_what_is_missing(monkeypatch):
    monkeypatch.setattr(measuring, "missing_packages", lambda engine, dtype: ["nncf"])
    with pytest.raises(ValueError, match="--measure int8 needs nncf: pip install nncf"):
        model_info(SMALL, frames=4, size=32, measure=["int8"])


def rows_of(page: str) -> dict[str, list[str]]:
    """The counted columns of the first table, by the line's number."""
    table = page.partition("## Costs")[2].partition("## Published")[0]
    lines = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| `")]
    return {f"{number} {line[0]}": line[: 1 + len(model_zoo.COUNTED)] for number, line in enumerate(lines)}


def test_the_page_names_the_networks_of_the_code_and_how_their_files_load():
    assert PAGE.partition("## Published")[2] == as_page([], ()).partition("## Published")[2]
    assert [name.partition(" ")[2] for name in rows_of(PAGE)] == [f"`{entry.words}`" for entry in entries()]


@pytest.mark.parametrize(
    "number", [pytest.param(n, marks=[] if n in (2, 15) else [pytest.mark.slow]) for n in range(len(entries()))]
)
def test_the_page_is_up_to_date_but_for_speeds(number):
    """Else run: python utils1/model_info.py --zoo docs/model_zoo.md --measure float32."""
    entry = entries()[number]
    assert rows_of(PAGE)[f"{number} `{entry.words}`"] == counted_cells(info_of(entry))


def test_the_page_is_written_from_the_table(tmp_path, monkeypatch):
    monkeypatch.setattr(model_zoo, "entries", lambda: [model_zoo.Entry(SMALL, "nothing", "nobody", "never", 4)])
    monkeypatch.setattr(measuring, "speed", lambda call, seconds: 12.345)
    info("--zoo", str(tmp_path / "zoo.md"), "--measure", "float32")
    page = (tmp_path / "zoo.md").read_text()
    assert f"| `{SMALL}` | 3 x 4 x 112 x 112 |" in page
    assert "| 12.3 |" in page
    assert f"| `{SMALL}` | nothing | nobody | `never` |" in page
