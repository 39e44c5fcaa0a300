"""The report: what it says of score files, in a page, in Markdown and in tables, whatever the names in them are."""

import base64
import csv
import hashlib
import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from browser import faults, opened
from helpers import CLASSES, words_for, write_frames, write_hmdb51

import test_single_stream
import test_two_stream
import train
from engine import Scores
from engine.evaluation.analysis import reliability
from models import fuse
from opts import RECORDED, SINGLE, parse_opts
from utils1 import report
from workflows.reporting.drawings import bars, shades, ticks
from workflows.reporting.plain_forms import escaped
from workflows.reporting.score_files import find_files, shortest_names
from workflows.reporting.teaching import runs_of
from workflows.shared.frame_strips import FRAMES, HEIGHT, entries_of, strips_of

OPTIONS = {name: vars(parse_opts([], SINGLE))[name] for name in RECORDED} | {"frame_dir": "nowhere"}
HOSTILE = ("<script>alert(1)</script>", "\"'><img src=x onerror=alert(1)>", "a|b\n# c\x00 \u202e{{ 7 * 7 }} & `d`")
VOID = {"meta", "br", "img", "link", "input", "hr"}
TABLES = ("results", "per_class", "confusion", "pairs", "videos")


def some(streams=("rgb", "sfs"), videos=12, names=CLASSES, seed=0, **changes) -> Scores:
    """Scores that are right somewhat more often than not."""
    generator = torch.Generator().manual_seed(seed)
    label = torch.arange(videos) % len(names)
    logits = torch.randn(len(streams), videos, len(names), generator=generator)
    logits[:, torch.arange(videos), label] += 1
    clips = torch.randint(2, 6, (videos,), generator=generator).expand(len(streams), -1)
    network = {"sha256": "ab" * 32, "reads": "rgb", "arch": "resnet-10", "epoch": 7, "recipe": {}}
    values = {
        "video": [f"{names[c]}/film{i}" for i, c in enumerate(label.tolist())],
        "label": label,
        "class_names": list(names),
        "streams": list(streams),
        "logits": logits,
        "clips": clips,
        "listed": videos,
        "clip_top1": clips // 2,
        "clip_top5": clips,
        "about": {
            "subset": "test",
            "dataset": "HMDB51",
            "split": 1,
            "options": OPTIONS,
            "provenance": {"fps": 25.0, "short_side": 256},
            "fusion": "activno",
            "fusion_weights": None,
            "checkpoints": {name: network | {"file": f"{name}.pth"} for name in streams},
        },
    }
    return Scores(**values | changes)


def old(scores: Scores) -> Scores:
    """Scores as files were before they said what was scored."""
    return replace(scores, about={}, clip_top1=None, clip_top5=None)


def stated(scores: Scores, **options) -> Scores:
    """Scores of a test with other options."""
    return replace(scores, about=scores.about | {"options": scores.about["options"] | options})


def save(path: Path, scores: Scores) -> Path:
    scores.save(path, fuse(scores.logits))
    return path


def run(tmp_path: Path, *words) -> list:
    return report.main(report.parse_args([*map(str, words), "--out", str(tmp_path / "out")]))


def report_of(tmp_path: Path, scores: Scores, *words):
    """The report of a score file."""
    (group,) = run(tmp_path, save(tmp_path / "s.npz", scores), *words)
    return group


def reports_of(tmp_path: Path, *scores: Scores) -> list:
    """The reports of score files a.npz and b.npz in a folder."""
    for name, content in zip("ab", scores, strict=True):
        save(tmp_path / "in" / f"{name}.npz", content)
    return run(tmp_path, tmp_path / "in")


def page_of(tmp_path: Path) -> str:
    return (tmp_path / "out" / "index.html").read_text(encoding="utf-8")


def table_of(tmp_path: Path, name: str) -> list[dict[str, str]]:
    with (tmp_path / "out" / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


class Page(HTMLParser):
    """Elements of a page; fails where a tag is not closed by its own."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["script"]:
            self.texts.append(data)

    def all(self, tag: str) -> list[dict]:
        return [attrs for name, attrs in self.found if name == tag]


def test_clips_of_a_fusion_count_where_the_test_has_fused_them(tmp_path):
    scores = some(videos=40, names=("a", "b", "c", "d", "e", "f", "g"))
    scores = replace(scores, fused_hits=torch.stack([scores.clips[0] - 1, scores.clips[0]]))
    report_of(tmp_path, scores)
    clips, fused = int(scores.clips[0].sum()), table_of(tmp_path, "results")[2]
    assert float(fused["clip_top1"]) == pytest.approx((clips - 40) / clips, abs=1e-6)
    assert float(fused["clip_top5"]) == 1


def test_accuracies_are_those_of_the_result_file(tmp_path):
    scores = some(videos=40, names=("a", "b", "c", "d", "e", "f", "g"))
    report_of(tmp_path, scores)
    rows = table_of(tmp_path, "results")
    assert [row["system"] for row in rows] == ["rgb", "sfs", "rgb + sfs"]
    for row, logits in zip(rows, [*scores.logits, scores.logits.mean(0)], strict=True):
        top1 = (logits.argmax(1) == scores.label).double().mean().item()
        top5 = (logits.topk(5).indices == scores.label[:, None]).any(1).double().mean().item()
        assert float(row["video_top1"]) == pytest.approx(top1, abs=1e-6)
        assert float(row["video_top5"]) == pytest.approx(top5, abs=1e-6)
        assert float(row["video_top1_low"]) <= top1 <= float(row["video_top1_high"])
        assert f"{100 * top1:.2f}" in page_of(tmp_path)
    assert float(rows[0]["clip_top1"]) == pytest.approx(scores.clip_accuracy[0], abs=1e-6)
    assert rows[2]["clip_top1"] == ""  # fused afterwards: nothing is known of single clips
    assert rows[0]["views"] == "all windows x 1"
    assert [rows[0][name] for name in ("frames", "crop", "fps", "short_side")] == ["16", "112", "25", "256"]
    best = max(float(row["video_top1"]) for row in rows[:2])
    assert float(rows[2]["gain_of_fusion"]) == pytest.approx(float(rows[2]["video_top1"]) - best, abs=2e-6)


def test_the_fused_scores_are_those_that_the_test_wrote(tmp_path):
    scores = some()
    fused = torch.nn.functional.one_hot(scores.label, 3).float()
    scores.save(tmp_path / "s.npz", fused)
    run(tmp_path, tmp_path / "s.npz")
    assert table_of(tmp_path, "results")[2]["video_top1"] == "1.000000"


def test_a_single_stream_has_no_fused_row_and_no_disagreement(tmp_path):
    found = report_of(tmp_path, some(["rgb"]))
    assert [system.name for system in found.systems] == ["rgb"]
    assert found.details[0].disagreement is None
    assert "disagree" not in page_of(tmp_path)


def test_old_files_are_shown_as_far_as_they_go(tmp_path):
    report_of(tmp_path, old(some()))
    row = table_of(tmp_path, "results")[0]
    assert {row[name] for name in ("dataset", "split", "views", "fps")} == {"not stated"}
    assert row["clip_top1"] == ""
    page = page_of(tmp_path)
    assert "Data set not stated" in page
    assert "the score file does not say where the frames are" in page


def test_files_of_the_same_videos_are_put_side_by_side_whatever_their_order(tmp_path):
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1)).tolist()
    other = some(["flow", "sfs"], seed=5)
    (found,) = reports_of(tmp_path, some(["rgb"]), other.rows(videos=order))
    assert [system.name for system in found.systems] == ["1: rgb", "2: flow", "2: sfs", "2: flow + sfs"]
    assert torch.equal(found.systems[1].scores, other.logits[0])
    assert torch.equal(found.systems[3].scores, fuse(other.logits))


def test_a_stream_that_two_files_share_is_one_system(tmp_path):
    (found,) = reports_of(tmp_path, some(), some().only(["rgb"]))
    assert [system.name for system in found.systems] == ["1, 2: rgb", "1: sfs", "1: rgb + sfs"]


@pytest.mark.parametrize(
    "other",
    [
        some(videos=9),
        some(names=("a", "b", "c")),
        replace(some(), label=(some().label + 1) % 3),
        replace(some(), about=some().about | {"split": 2}),
        replace(some(), about=some().about | {"subset": "val"}),
    ],
)
def test_what_cannot_be_compared_is_in_sections_of_its_own(tmp_path, other):
    assert len(reports_of(tmp_path, some(), other)) == 2
    assert "those of different sections are not comparable" in page_of(tmp_path)
    assert {row["group"] for row in table_of(tmp_path, "videos")} == {"1", "2"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sample_duration": 64}, "frames: 16 (a.npz); 64 (b.npz)"),
        ({"sample_size": 224}, "crop: 112 (a.npz); 224 (b.npz)"),
        ({"num_crops": "10"}, "views: all windows x 1 (a.npz); all windows x 10 (b.npz)"),
        ({"test_sampling": "stepped", "num_clips": 25}, "all windows x 1 (a.npz); 25 stepped x 1 (b.npz)"),
        ({"tail": "drop"}, "all windows x 1, last frames dropped (b.npz)"),
        ({"short_side": 128}, "short side: 256 (a.npz); 256, resized to 128 (b.npz)"),
        ({"clip_stride": 2}, "frames: 16 (a.npz); 16, stride 2 (b.npz)"),
    ],
)
def test_tests_that_are_unlike_are_said(tmp_path, options, said):
    (found,) = reports_of(tmp_path, some(), stated(some(), **options))
    assert len(found.systems) == 6  # the same scores, but not the same test
    (notice,) = found.notices
    assert notice.startswith("Tested unlike, so not comparable as they stand: ")
    assert said in notice
    assert "not the same for all systems" in page_of(tmp_path)


def test_tests_that_are_alike_are_not_flagged(tmp_path):
    (found,) = reports_of(tmp_path, some(), some(seed=1))
    assert found.notices == []
    assert "differs" not in {c for a in Page(page_of(tmp_path)).all("td") for c in a.get("class", "").split()}


def test_videos_left_out_and_held_out_ones_are_said(tmp_path):
    scores = replace(some(listed=14), about=some().about | {"subset": "val", "unlike": ["sample_size: 112, 224"]})
    found = report_of(tmp_path, scores)
    assert found.notices == [
        "This result leaves out videos: 12 of 14 listed ones were scored",
        "This result fuses scores of unlike tests: sample_size: 112, 224",
        "Held-out training videos: not a result on the test list",
    ]
    assert "12 of 14</td>" in page_of(tmp_path)
    assert {(row["videos"], row["listed"]) for row in table_of(tmp_path, "results")} == {("12", "14")}


def test_a_network_of_another_split_is_said(tmp_path):
    scores = some()
    name, *others = scores.streams
    networks = {name: {"trained_split": 1}, **{other: {} for other in others}}
    found = report_of(tmp_path, replace(scores, about=scores.about | {"checkpoints": networks}))
    said = f"This result: {name} was trained on split 1, whose training list may hold tested videos"
    assert found.notices == [said]
    assert said in page_of(tmp_path)


@pytest.mark.parametrize("streams", [("rgb",), ("rgb", "sfs"), ("a", "b", "c", "d")])
@pytest.mark.parametrize("classes", [2, 3, 61])
def test_the_page_is_whole_asks_for_nothing_else_and_runs_its_own_script_alone(tmp_path, streams, classes):
    names = [f"class {i}" for i in range(classes)]
    report_of(tmp_path, some(streams, videos=70, names=names))
    page = Page(page_of(tmp_path))
    assert [a for a in page.all("a") if not a["href"].startswith("#")] == []
    assert {a["id"] for _, a in page.found if "id" in a} >= {a["href"][1:] for a in page.all("a")}
    assert page.all("link") == []
    assert [a for _, a in page.found if not a.get("src", "data:").startswith("data:")] == []
    assert "url(" not in page_of(tmp_path)
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(a.get("scope") for a in page.all("th"))
    assert all(a.get("aria-label") for a in page.all("svg"))
    assert page.all("html") == [{"lang": "en"}]
    (script,) = re.findall(r"<script>(.*?)</script>", page_of(tmp_path), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = [a["content"] for a in page.all("meta") if "content" in a and "http-equiv" in a]
    assert f"script-src 'sha256-{digest}'" in policy  # no other script may run
    assert "default-src 'none'" in policy


def test_student_and_teacher_are_compared_by_class(tmp_path):
    label = torch.tensor([0, 0, 0, 1, 1, 2])
    said = {"flow": [0, 0, 1, 1, 0, 2], "sfs": [0, 1, 1, 1, 1, 2]}
    for name, predicted in said.items():
        logits = torch.nn.functional.one_hot(torch.tensor(predicted), 3)[None].float()
        clips = torch.ones(1, 6, dtype=torch.int64)
        save(tmp_path / f"{name}.npz", some((name,), 6, label=label, logits=logits, clips=clips))
    (found,) = run(tmp_path, tmp_path / "sfs.npz", "--teacher", tmp_path / "flow.npz")
    (pair,) = found.agreements
    assert (pair.teacher.stream, pair.student.stream) == ("flow", "sfs")
    assert tuple(pair.whole) == ("all", 6, 4, 3, 1, 1)
    assert [tuple(row)[1:] for row in pair.classes] == [(2, 1, 1, 0, 1), (3, 2, 1, 1, 0), (1, 1, 1, 0, 0)]
    rows = table_of(tmp_path, "agreement")
    assert [row["videos"] for row in rows] == ["6", "2", "3", "1"]
    page = page_of(tmp_path)
    Page(page)
    assert "beside its teacher, " in page
    assert "the same class for 4 of 6 videos" in (tmp_path / "out" / "report.md").read_text()
    other = save(tmp_path / "other.npz", some(("x",), 9))
    with pytest.raises(ValueError, match=r"other\.npz: no other score file is of the same videos"):
        run(tmp_path, tmp_path / "sfs.npz", "--teacher", other)


def test_losses_of_runs_are_drawn_term_by_term(tmp_path):
    folder = tmp_path / "runs" / HOSTILE[1].replace("/", "")
    folder.mkdir(parents=True)
    rows = [
        {"epoch": 1, "lr": 0.1, "train_loss": 4.0, "train_loss_kd": 2.0, "val_loss": 3.0, "train_acc": 0.5},
        {"epoch": 3, "lr": 0.1, "train_loss": 2.0, "train_loss_kd": None, "val_loss": 1.0, "train_acc": 0.5},
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (curves,) = runs_of([folder])
    assert (curves.epochs, [curve.name for curve in curves.curves]) == (3, ["loss", "loss_kd"])
    assert curves.curves[0].paths == [("train", "M0.0 0.0L200.0 100.0"), ("val", "M0.0 50.0L200.0 150.0")]
    assert curves.curves[1].paths == [("train", "M0.0 0.0")]
    run(tmp_path, save(tmp_path / "a.npz", some()), "--run", folder)
    page = Page(page_of(tmp_path))
    assert {"d": "M0.0 0.0L200.0 100.0", "class": "term"} in page.all("path")
    with pytest.raises(FileNotFoundError, match="no metrics"):
        run(tmp_path, tmp_path / "a.npz", "--run", tmp_path / "out")


def test_hostile_names_are_text_in_the_page_and_in_their_cells_of_markdown(tmp_path):
    scores = some(videos=12, names=HOSTILE, streams=HOSTILE[:2])
    scores = replace(scores, about=scores.about | {"dataset": HOSTILE[1], "fusion": HOSTILE[0]})
    report_of(tmp_path, scores)
    page = Page(page_of(tmp_path))
    assert len(page.all("script")) == 1
    assert page.all("img") == []
    assert not [name for _, attrs in page.found for name in attrs if name.startswith("on")]
    text = "".join(page.texts)
    assert HOSTILE[0] in text
    assert HOSTILE[1] in text
    assert r"a|b\n# c\x00 \u202e{{ 7 * 7 }} & `d`" in text
    assert "\x00" not in page_of(tmp_path)
    text = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert not re.search(r"(?<!\\)<", text)
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {16, 5}
    assert [line for line in text.splitlines() if line.startswith("# ")] == ["# Test results"]


def test_hostile_names_of_videos_are_text_beside_their_pictures(tmp_path):
    video = 'x"><img src=y onerror=alert(1)>'
    write_frames(tmp_path / "frames" / video, seed=1, frames=8)
    scores = some(["rgb"], videos=1, video=[video], logits=torch.tensor([[[0.0, 9.0, 0.0]]]))
    run(tmp_path, save(tmp_path / "s.npz", scores), "--frame_dir", tmp_path / "frames")
    (image,) = Page(page_of(tmp_path)).all("img")
    assert image.keys() == {"src", "width", "height", "alt"}
    assert video in image["alt"]


@pytest.mark.parametrize("text", ["a_b", "*a*", "[a](b)", "<b>", "a|b", "`a`", "a\nb", "# a", "&lt;"])
def test_markdown_means_nothing_in_names(text):
    assert not re.search(r"(?<!\\)[*_`<>|\[\]#&]", escaped(text))
    assert "\n" not in escaped(text)


def test_names_come_back_from_the_tables(tmp_path):
    names = [HOSTILE[0], 'a "b", c', "d\ne"]
    scores = some(names=names)
    report_of(tmp_path, scores)
    assert {row["class"] for row in table_of(tmp_path, "per_class")} == set(names)
    videos = [row for row in table_of(tmp_path, "videos") if row["system"] == "rgb"]
    assert [row["video"] for row in videos] == scores.video
    predicted = [names[i] for i in scores.logits[0].argmax(1).tolist()]
    assert [row["predicted"] for row in videos] == predicted
    assert [row["right"] == "1" for row in videos] == (scores.logits[0].argmax(1) == scores.label).tolist()


def test_tables_agree_with_each_other(tmp_path):
    report_of(tmp_path, some(videos=30))
    tables = {name: table_of(tmp_path, name) for name in TABLES}
    cells = tables["confusion"]
    assert sum(int(row["videos"]) for row in cells) == 30
    wrong = sum(int(row["videos"]) for row in cells if row["true"] != row["predicted"])
    assert wrong == sum(int(row["videos"]) for row in tables["pairs"])
    assert wrong == sum(row["right"] == "0" for row in tables["videos"] if row["system"] == "rgb + sfs")
    assert tables["per_class"]
    for row in tables["per_class"]:
        assert float(row["accuracy"]) == pytest.approx(int(row["right"]) / int(row["videos"]), abs=1e-6)


def test_tables_have_their_columns_where_nothing_is_wrong(tmp_path):
    label = some().label
    scores = some(logits=10 * torch.nn.functional.one_hot(label, 3).float().expand(2, -1, -1))
    found = report_of(tmp_path, scores)
    assert found.details[0].errors == []
    assert "No video is wrong." in page_of(tmp_path)
    assert (tmp_path / "out" / "pairs.csv").read_text() == "group,system,true,predicted,videos,share,other_way_round\n"


def test_classes_without_videos_have_no_accuracy(tmp_path):
    report_of(tmp_path, some(names=("a", "b", "c", "empty"), label=torch.arange(12) % 3))
    rows = [row for row in table_of(tmp_path, "per_class") if row["class"] == "empty"]
    assert {(row["videos"], row["accuracy"], row["gain_of_fusion"]) for row in rows} == {("0", "", "")}
    assert "nan" not in "".join(Page(page_of(tmp_path)).texts)


def test_the_hardest_class_comes_first(tmp_path):
    found = report_of(tmp_path, some(videos=60))
    accuracy = [row.accuracy[-1] for row in found.classes]
    assert accuracy == sorted(accuracy)


def test_a_folder_is_searched_and_what_is_no_score_file_is_said(tmp_path, caplog):
    save(tmp_path / "in" / "deep" / "s.npz", some())
    np.savez(tmp_path / "in" / "other.npz", a=np.zeros(3))
    (tmp_path / "in" / "torn.npz").write_bytes(b"PK\x03\x04 torn")
    (found,) = run(tmp_path, tmp_path / "in")
    assert [file.label for file in found.group.files] == ["s.npz"]
    for name in ("other.npz", "torn.npz"):
        assert f"left out: {tmp_path / 'in' / name}: " in caplog.text


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 torn"])
def test_a_file_that_was_named_must_be_a_score_file(tmp_path, content):
    (tmp_path / "torn.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"torn\.npz: damaged, or not a score file"):
        run(tmp_path, tmp_path / "torn.npz")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("fused", [torch.zeros(12, 9), torch.full((12, 3), math.nan)])
def test_fused_scores_that_do_not_fit_are_named(tmp_path, fused):
    some().save(tmp_path / "s.npz", fused)
    with pytest.raises(ValueError, match=r"s\.npz: its fused scores do not fit"):
        run(tmp_path, tmp_path / "s.npz")


def test_nothing_to_report_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match="gone: no such file or folder"):
        run(tmp_path, tmp_path / "gone")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"empty: no \.npz file in or below it"):
        run(tmp_path, tmp_path / "empty")
    np.savez(tmp_path / "empty" / "other.npz", a=np.zeros(3))
    with pytest.raises(FileNotFoundError, match="empty: no score file in or below it"):
        run(tmp_path, tmp_path / "empty")


def test_bad_options_are_said(tmp_path):
    path = save(tmp_path / "s.npz", some())
    with pytest.raises(ValueError, match="--worst -1: "):
        run(tmp_path, path, "--worst", "-1")
    (tmp_path / "out").write_text("")
    with pytest.raises(ValueError, match="is a file; name a folder"):
        run(tmp_path, path)


def test_a_file_that_is_named_twice_counts_once(tmp_path):
    path = save(tmp_path / "s.npz", some())
    assert find_files([tmp_path, path, tmp_path / "." / "s.npz"]) == [path]


def test_files_are_called_by_as_little_as_tells_them_apart():
    paths = [Path("/x/a/s.npz"), Path("/x/b/s.npz"), Path("/x/b/t.npz"), Path("/s.npz")]
    assert shortest_names(paths[:3]) == ["a/s.npz", "b/s.npz", "t.npz"]
    assert shortest_names([paths[0]]) == ["s.npz"]


def test_frames_of_the_worst_errors_are_shown(tmp_path):
    root = write_hmdb51(tmp_path / "data")
    videos = [f"{name}/film{v}_{name}_f_cm_np1_fr_med_0" for v in (3, 4) for name in CLASSES]
    scores = some(video=videos, videos=6, logits=torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(1)))
    scores = stated(scores, frame_dir=str(root / "frames"), annotation_path=str(root / "labels"))
    found = report_of(tmp_path, scores, "--worst", "2")
    errors = found.details[0].errors
    assert 1 <= len(errors) <= 2
    image = Page(page_of(tmp_path)).all("img")[0]
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(image["src"].partition(",")[2]), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape[:2] == (HEIGHT, int(image["width"]))
    assert errors[0].video in image["alt"]
    assert len(errors[0].strip.frames) == FRAMES


@pytest.mark.slow
def test_what_the_scripts_write_is_explained(hmdb51, tmp_path):
    weights = []
    for modality in ("RGB", "Flow"):
        train.main(parse_opts([*words_for(hmdb51, tmp_path / modality), "--modality", modality]))
        weights.append(next((tmp_path / modality).rglob("*varLR1.pth")))
    words = words_for(hmdb51, tmp_path / "results", network=())
    given = [
        word for name, path in zip(("rgb", "flow"), weights, strict=True) for word in ("--stream", f"{name}={path}")
    ]
    test_two_stream.main(parse_opts([*words, *given, "--scores_path", str(tmp_path / "a" / "both.npz")]))
    test_single_stream.main(
        parse_opts([*words, "--resume_path1", str(weights[0]), "--scores_path", str(tmp_path / "b" / "one.npz")])
    )
    joined = ["--scores", str(tmp_path / "a" / "both.npz"), "--use", "flow", "rgb", "--fusion", "softmax"]
    test_two_stream.main(parse_opts([*joined, "--scores_path", str(tmp_path / "c" / "joined.npz"), "--log", "0"]))
    (found,) = run(tmp_path, tmp_path / "a", tmp_path / "b", tmp_path / "c")
    rows = table_of(tmp_path, "results")
    assert {(row["dataset"], row["split"], row["subset"]) for row in rows} == {("HMDB51", "1", "test")}
    assert rows[0]["frames"] == "8"
    assert rows[0]["crop"] == "32"
    assert "not stated" not in {row["views"] for row in rows}
    assert [row["fusion"] for row in rows if row["fusion"]] == ["activno", "softmax"]
    assert all(error.strip.uri for details in found.details for error in details.errors)
    assert any(details.errors for details in found.details)


def test_a_strip_shows_the_frames_that_it_names_in_their_colours(tmp_path):
    (tmp_path / "frames" / "v").mkdir(parents=True)
    for i in range(1, 31):  # ever less red and more blue
        frame = np.full((HEIGHT, HEIGHT, 3), (8 * i, 0, 255 - 8 * i), np.uint8)
        cv2.imwrite(str(tmp_path / "frames" / "v" / f"{i:05d}.jpg"), frame)
    scores = some(["rgb"], videos=1, video=["v"])
    strip = strips_of(scores, str(tmp_path / "frames"))(0)
    jpeg = base64.b64decode(strip.uri.partition(",")[2])
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    parts = np.array_split(picture, FRAMES, axis=1)
    assert np.unique(np.diff(strip.frames)).size <= 2
    for number, part in zip(strip.frames, parts, strict=True):
        blue, _, red = part[HEIGHT // 4 : -HEIGHT // 4, HEIGHT // 4 : -HEIGHT // 4].mean((0, 1))
        assert (blue, red) == pytest.approx((8 * number, 255 - 8 * number), abs=6)


def test_a_short_video_has_a_strip_of_its_frames(tmp_path):
    write_frames(tmp_path / "v", seed=1, frames=3)
    assert list(strips_of(some(["rgb"], videos=1, video=["v"]), str(tmp_path))(0).frames) == [1, 2, 3]


def test_segments_are_found_by_their_list(tmp_path):
    for path in ("frames/v", "frames/w"):
        write_frames(tmp_path / path, seed=1, frames=20)
    for subset in ("train", "test"):
        (tmp_path / "lists").mkdir(exist_ok=True)
        (tmp_path / "lists" / f"{subset}.csv").write_text("path,label,start,end\nv,a,5,8\nw,b,1,4\n")
    about = {"dataset": "List", "options": {"annotation_path": str(tmp_path / "lists")}}
    scores = some(["rgb"], videos=1, video=["v 5-8"], about=about)
    (entry,) = entries_of(scores, about["options"])
    assert (entry.path, entry.segment) == ("v", (5, 8, "frames"))
    assert list(strips_of(scores, str(tmp_path / "frames"))(0).frames) == [1, 2, 3, 4]


def test_frames_that_are_not_there_leave_pictures_out_and_are_said(tmp_path, caplog):
    report_of(tmp_path, some())
    reason = "nowhere: no such folder; --frame_dir says where the frames are"
    assert f"no pictures of errors: {reason}" in caplog.text
    assert f"No pictures: {reason}" in page_of(tmp_path)
    assert Page(page_of(tmp_path)).all("img") == []


def test_a_damaged_video_leaves_out_its_picture_alone(tmp_path):
    scores = some(seed=3)
    for i, video in enumerate(scores.video):
        write_frames(tmp_path / "frames" / video, seed=i, frames=8)
    path = save(tmp_path / "s.npz", scores)
    (found,) = run(tmp_path, path, "--frame_dir", tmp_path / "frames")
    worst = found.details[0].errors[0]
    assert worst.strip.uri
    frame = tmp_path / "frames" / worst.video / f"{worst.strip.frames[1]:05d}.jpg"
    frame.write_bytes(b"no image")
    (found,) = run(tmp_path, path, "--frame_dir", tmp_path / "frames")
    first, *others = found.details[0].errors
    assert str(frame) in first.strip.problem
    assert all(error.strip.uri for error in others)
    assert str(frame) in page_of(tmp_path)


def test_no_errors_are_shown_where_none_are_wanted(tmp_path, caplog):
    run(tmp_path, save(tmp_path / "s.npz", some()), "--worst", "0")
    assert "Most confident errors" not in page_of(tmp_path)
    assert caplog.text == ""


def test_the_same_files_make_the_same_report(tmp_path):
    path = save(tmp_path / "s.npz", some())
    run(tmp_path, path)
    before = {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()}
    run(tmp_path, path)
    assert {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()} == before
    assert set(before) == {"index.html", "report.md", *(f"{name}.csv" for name in TABLES)}


def test_what_else_a_file_says_of_itself_is_shown_as_it_is(tmp_path):
    about = json.loads('{"options": {"num_clips": [1], "clip_stride": "2", "layout": 3}, "split": [1, 2], "epoch": {}}')
    report_of(tmp_path, replace(some(), about=about))
    assert table_of(tmp_path, "results")[0]["split"] == "[1, 2]"


def test_bars_of_a_curve_stand_where_their_confidence_is():
    curve = reliability(torch.tensor([[0.95, 0.05], [0.55, 0.45]]), torch.tensor([0, 1]), bins=10)
    low, high = bars(curve)
    assert (low.x, low.width, low.accuracy) == (100, 20, 0)
    assert (high.x, high.accuracy, high.videos) == (180, 200, 44)
    assert high.confidence == pytest.approx(190)


def test_a_matrix_without_numbers_draws_every_cell_that_is_not_0_once():
    table = torch.tensor([[3, 1, 0], [0, 4, 0], [2, 0, 2]])
    drawn = {(shade.kind, cell) for shade in shades(table) for cell in shade.path.split("M") if cell}
    assert drawn == {
        *(("right", f"{i} {i}h1v1h-1z") for i in range(3)),
        ("wrong", "1 0h1v1h-1z"),
        ("wrong", "0 2h1v1h-1z"),
    }
    assert all(0 < shade.opacity <= 1 for shade in shades(table))


@pytest.mark.parametrize("classes", [61, 101, 174, 400, 700, 5000])
def test_ticks_are_few_and_round(classes):
    assert 3 <= len(ticks(classes)) <= 12
    assert ticks(classes)[0] == 0


def test_every_table_says_how_many_videos_and_what_chance_is(tmp_path):
    report_of(tmp_path, some())
    page = page_of(tmp_path)
    captions = re.findall(r"<caption>(.*?)</caption>", page)
    assert len(captions) == page.count("<table") > 5
    assert {caption.partition("% ")[0].partition("%.")[0] for caption in captions} == {
        "12 videos of 3 classes; chance: 33.33&nbsp;"
    }
    assert "12 videos, 3 classes, chance 33.33 %" in (tmp_path / "out" / "report.md").read_text()


def test_a_matrix_has_a_scale_with_numbers_and_curves_have_axes(tmp_path):
    for names in (CLASSES, tuple(f"class{i}" for i in range(70))):
        run(tmp_path, save(tmp_path / "s.npz", some(names=names, videos=140)))
        page = page_of(tmp_path)
        scales = re.findall(r'class="scale (\w+)".*?<ol>(.*?)</ol>', page)
        assert [kind for kind, _ in scales] == ["right", "wrong"]
        assert all(marks.startswith("<li>0</li>") and marks.endswith("<li>100</li>") for _, marks in scales)


@pytest.mark.slow
def test_figures_are_written_as_png_and_pdf_the_same_each_time(tmp_path):
    pytest.importorskip("matplotlib")
    path = save(tmp_path / "s.npz", some(names=HOSTILE))
    run(tmp_path, path, "--figures")
    folder = tmp_path / "out" / "figures"
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    stems = {"group1_accuracy", "group1_file1_rgb_sfs_confusion", "group1_file1_rgb_sfs_reliability"}
    assert set(before) == {f"{stem}.{kind}" for stem in stems for kind in ("png", "pdf")}
    assert all(data.startswith(b"\x89PNG" if name.endswith("png") else b"%PDF") for name, data in before.items())
    run(tmp_path, path, "--figures")
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


@pytest.mark.slow
def test_a_browser_shows_the_page_without_an_error_and_on_a_telephone(tmp_path):
    names = tuple(f"a_class_with_a_long_name_{i}" for i in range(50))
    pages = []
    for number, scores in enumerate((some(), some(names=names, videos=100), some(names=HOSTILE), old(some()))):
        run(tmp_path, save(tmp_path / f"{number}.npz", scores))
        pages.append((tmp_path / "out" / "index.html").rename(tmp_path / f"{number}.html").as_uri())
    with opened() as browser:
        assert faults(browser, pages) == []
