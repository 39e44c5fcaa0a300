"""Tables of accuracies in docs and README are those of the raw results in docs/evidence."""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import groupby
from statistics import mean

import pytest
from source_files import ROOT

from benchmarks import best_epoch
from benchmarks.accuracy.evidence_rows import ACTIVATIONS, CONTROL, FITTED, GOAL
from benchmarks.accuracy.tables import pairs_table

SFS = "RGB + SFS"
SHOWN = ("RGB", "Flow", "SFS", SFS, GOAL)
MADE_UP = {
    "`easy`": "easy",
    "`standard`": "standard",
    "`hard`": "hard",
    "`standard`, half as many training videos": "standard_few",
    "`standard`, bias 0.5": "standard_bias05",
    "`standard`, bias 1": "standard_bias1",
}


def results(name: str) -> dict:
    return json.loads((ROOT / "docs" / "evidence" / f"{name}.json").read_text("utf-8"))


def accuracies(record: dict) -> dict[str, dict[int, list[float]]]:
    """Top-1 in percent of each seed, by system and split."""
    found = defaultdict[str, dict[int, list[float]]](dict)
    for row in sorted(record["rows"], key=lambda row: (row["split"], row["seed"])):
        if "top1" in row:
            found[row["name"]].setdefault(row["split"], []).append(100 * row["top1"])
    return found


def of_splits(splits: dict[int, list[float]]) -> float:
    return mean(map(mean, splits.values()))


def each(values: list[float]) -> str:
    return ", ".join(f"{value:.1f}" for value in values)


def cells_of(lines: Iterable[str]) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def tables(*heads: str, page: str = "evidence.md") -> Iterator[list[list[str]]]:
    """Tables of a page that begin with these heads: cells of the head, then of each line."""
    lines = (ROOT / "docs" / page).read_text("utf-8").splitlines()
    for is_table, group in groupby(lines, lambda line: line.startswith("|")):
        cells = cells_of(group) if is_table else [[]]
        if tuple(cells[0][: len(heads)]) == heads:
            yield [cells[0], *cells[2:]]


def table(*heads: str, page: str = "evidence.md") -> list[list[str]]:
    (found,) = tables(*heads, page=page)
    return found[1:]


def paired(record: dict) -> list[list[str]]:
    """Lines of the table of paired tests that the benchmark prints."""
    return cells_of(pairs_table(record["pairs"]).splitlines()[2:])


def test_accuracies_of_all_systems_on_real_video():
    found = accuracies(results("jhmdb"))
    shown = {name: splits for name, splits in found.items() if not name.endswith(tuple(f", {a}" for a in ACTIVATIONS))}
    lines = table("system", "reads", "split 1")
    assert [line[0] for line in lines] == list(shown)
    for name, _, *cells in lines:
        splits = shown[name]
        others = [each(splits.get(split, [])) for split in (2, 3)]
        whole = f"{of_splits(splits):.1f}" if len(splits) == 3 else ""
        assert cells == [f"{mean(splits[1]):.1f}", each(splits[1]), *others, whole], name


def test_paired_tests():
    assert table("system", "against", "tests") == paired(results("jhmdb"))


def test_fusions():
    found = accuracies(results("jhmdb"))
    for name, *cells in table("fusion"):
        end = "" if name.startswith("none") else f", {name}"
        assert cells == [f"{of_splits(found[system + end]):.1f}" for system in (CONTROL, SFS, GOAL)], name


def test_made_up_videos():
    lines = table("videos", "seeds")
    assert [line[0] for line in lines] == list(MADE_UP)
    systems = ("RGB", "RGB, other seed", "Flow", "SFS", CONTROL, SFS, f"{SFS}, {FITTED}", GOAL)
    for name, seeds, *cells in lines:
        record = results(MADE_UP[name])
        found, closed = accuracies(record), record["gap_closed"]
        assert seeds == str(len(found["RGB"][1]))
        fitted = f"{SFS}, {FITTED}"
        fits = len(found[fitted].get(1, ())) == int(seeds)  # too few errors on held-out videos are no measure
        shown = [f"{mean(found[system][1]):.1f}" if fits or system != fitted else "" for system in systems]
        gaps = [f"{100 * closed[system]:.0f} %" if fits or system != fitted else "" for system in (SFS, fitted)]
        assert cells == [*shown, *gaps], name


@pytest.mark.parametrize("level", [level for level in MADE_UP if any(tables(level))])
def test_each_loss_on_made_up_videos(level):
    record = results(MADE_UP[level])
    found = accuracies(record)
    less = {
        pair["second"]: "{:+.1f} ({:+.1f} to {:+.1f})".format(pair["difference"], *pair["interval"])
        for pair in record["pairs"]
        if pair["first"] == "SFS"
    }
    for name, *cells in table(level):
        pair = found.get(f"RGB + {name}", {}).get(1)
        expected = [f"{mean(found[name][1]):.1f}", each(found[name][1]), less.get(name, "")]
        assert cells == [*expected, f"{mean(pair):.1f}" if pair else ""], name


def test_each_loss_with_bias_and_with_fewer_videos():
    ((heads, *lines),) = tables("seed 1")
    found = [accuracies(results(name)) for name in ("standard", "standard_few", "standard_bias05", "standard_bias1")]
    assert len(heads) == 1 + len(found)
    for name, *cells in lines:
        assert cells == [f"{of_level[name][1][0]:.1f}" for of_level in found], name


def test_settings_on_held_out_videos():
    tried = {record["options"]: record for record in results("held_out").values()}
    lines = table("all networks with")
    assert len(lines) == len(tried)
    for _, option, minutes, *cells in lines:
        record = tried[option.strip("`")]
        found = accuracies(record)
        seconds = sum(row.get("seconds", 0) for row in record["rows"] if row["seed"] == 1 and row["name"] in SHOWN[:3])
        assert minutes == f"{seconds / 60:.1f}"
        assert cells == [each(found[system][1]) for system in SHOWN], option


def test_the_best_epoch():
    rows = results("best_epoch")["rows"]
    by_epoch = [{**row, "top1": {int(epoch): top1 for epoch, top1 in row["top1"].items()}} for row in rows]
    assert best_epoch.table(by_epoch) in (ROOT / "docs" / "evidence.md").read_text("utf-8")


def test_families_of_the_study():
    record = results("study")
    found = accuracies(record)
    kinds = ("RGB", "Flow", "RGB + Flow", "long RGB", "SFS", "RGB + SFS")
    lines = table("family", page="systems.md")
    assert {f"RGB, {line[0]}" for line in lines} == {name for name in found if name.startswith("RGB, ")}
    for family, *cells in lines:
        measured = [found.get(f"{kind}, {family}", {}).get(1) for kind in kinds]
        assert cells[3:] == [f"{mean(values):.1f}" if values else "" for values in measured], family
    assert table("student", "against", "tests", page="systems.md") == paired(record)


def test_the_table_of_the_readme():
    found = accuracies(results("jhmdb"))
    systems = {"RGB": "RGB", "Flow, the teacher": "Flow", "SFS, the student": "SFS", "RGB + SFS (STS-Net)": SFS}
    systems |= {"the same, weights by `--fit`": f"{SFS}, {FITTED}", "RGB + Flow": GOAL}
    lines = re.findall(r"^\|(.*)\|$", (ROOT / "README.md").read_text("utf-8"), re.M)
    cells = {line[0]: line[3] for line in ([c.strip(" *") for c in line.split("|")] for line in lines) if len(line) > 6}
    assert {name: cells[name] for name in systems} == {
        name: f"{of_splits(found[system]):.1f}" for name, system in systems.items()
    }
