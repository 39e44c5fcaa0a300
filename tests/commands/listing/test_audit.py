"""The audit finds what is wrong with a data set, and training honours what it writes."""

import json
import os
import shutil
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from damage import write_video
from films import write_film
from helpers import FRAMES, write_frames

from datasets.corpora.hmdb51 import list_videos
from datasets.lists.entries import Entry, Listing
from datasets.records.lookup import find_videos, without_quarantined
from datasets.records.manifest import MANIFEST, read_manifest
from datasets.records.quarantine import read_quarantine, update_quarantine
from datasets.stores.frames import FrameFolders
from utils1 import audit, extract_frames, pack
from workflows.auditing import audit as audit_workflow
from workflows.auditing.checks import Problem, check_video
from workflows.auditing.findings import KINDS, Report, as_table, as_text, sort_problems
from workflows.auditing.jpeg_ends import check_image
from workflows.auditing.lists_and_folders import Lists, check_content, check_folder, check_lists, check_official

VIDEO = "cartwheel/film0_cartwheel_f_cm_np1_fr_med_0"  # in the training list


def run(root: Path, *words: str) -> Report:
    """The report of an audit in this process, also if it ends in an error."""
    report = root / "report.json"
    report.unlink(missing_ok=True)
    paths = f"--frame_dir {root / 'frames'} --annotation_path {root / 'labels'} --json {report} --n_workers 1"
    opt = audit.parse_args([*paths.split(), *words])
    try:
        return audit.main(opt)
    except ValueError as error:
        told = json.loads(report.read_text())
        problems = [Problem(p["kind"], p["path"], p["text"]) for p in told["problems"]]
        errors = sum(p["severity"] == "error" for p in told["problems"])
        table = root / "frames" / audit_workflow.AUDIT
        assert str(error) == f"{root / 'frames'}: errors found: {errors}; all are listed in {table}"
        return Report(told["dataset"], told["root"], told["layout"], told["videos"], told["used"], problems)


def kinds(report: Report) -> Counter:
    """How often each kind of problem comes, those of every invented set left out."""
    return Counter(p.kind for p in report.problems if p.kind not in ("official", "short"))


def test_a_sound_set_passes_and_its_manifest_says_what_is_there(own_hmdb51, capsys):
    report = run(own_hmdb51)
    assert kinds(report) == {}
    assert not report.errors
    assert "6 videos listed; three frames of each stream decoded; all with --deep" in capsys.readouterr().out
    manifest = read_manifest(own_hmdb51 / "frames")
    assert manifest.located[VIDEO] == (str(own_hmdb51 / "frames" / VIDEO), {"rgb": FRAMES, "flow": FRAMES - 1}, None)
    lines = (own_hmdb51 / "frames" / "manifest.jsonl").read_text().splitlines()[1:]
    (facts,) = [facts for facts in map(json.loads, lines) if facts[0] == VIDEO]
    assert facts[:-1] == [VIDEO, None, FRAMES, FRAMES - 1, 1, 48, 40, None]
    assert manifest.videos == 6
    manifest.check(FrameFolders(own_hmdb51 / "frames"))


def test_training_starts_from_the_manifest_without_a_look_at_the_folders(own_hmdb51):
    run(own_hmdb51)
    located = read_manifest(own_hmdb51 / "frames").located
    entries = list_videos(own_hmdb51 / "labels", 1, "train").entries
    looked = find_videos(entries, FrameFolders(own_hmdb51 / "frames"), needs={"rgb", "flow"})
    for folder in (own_hmdb51 / "frames").glob("*/*"):
        shutil.rmtree(folder)
    assert find_videos(entries, FrameFolders(own_hmdb51 / "frames"), needs={"rgb", "flow"}, located=located) == looked


def without_tables(image: Path) -> None:
    """Damage that no end of a file shows: nothing can be decoded without its tables."""
    data = image.read_bytes()
    start = data.index(b"\xff\xdb")
    image.write_bytes(data[:start] + b"\xff\xfe" + data[start + 2 :])


def truncate(folder, name="00007.jpg", size=700):
    (folder / name).write_bytes((folder / name).read_bytes()[:size])


def overwrite(folder, content):
    (folder / "00007.jpg").write_bytes(content)


def replace(folder, make):
    """Put something else in the place of an image."""
    (folder / "00007.jpg").unlink()
    make(folder / "00007.jpg")


def other_size(folder):
    cv2.imwrite(str(folder / "00007.jpg"), np.zeros((32, 32, 3), np.uint8))


def lose(folder, pattern):
    for image in folder.glob(pattern):
        image.unlink()


def lose_flow(root):
    for folder in root.glob("*/*"):
        lose(folder, "TVL1*")
        (folder / "done").write_text("")


def link_out(folder):
    folder.rename(folder.parents[2] / "outside")
    folder.symlink_to(folder.parents[2] / "outside")


DAMAGE = {  # what is done to a folder, the kind of the problem, and words of it
    "empty": (lambda f: truncate(f, size=0), "empty", "00007.jpg: empty"),
    "truncated": (truncate, "truncated", "00007.jpg: ends in the middle"),
    "truncated flow": (
        lambda f: truncate(f, "TVL1jpg_y_00007.jpg", -30),
        "truncated",
        "y_00007.jpg: ends in the middle",
    ),
    "text": (lambda f: overwrite(f, b"no image"), "undecodable", "00007.jpg: damaged image"),
    "header": (lambda f: overwrite(f, b"\xff\xd8\xff\xe0 no image \xff\xd9"), "undecodable", "its header is damaged"),
    "folder": (lambda f: replace(f, Path.mkdir), "undecodable", "00007.jpg: is not a file"),
    "dangling": (
        lambda f: replace(f, lambda image: image.symlink_to("none.jpg")),
        "missing",
        "a symbolic link to nothing",
    ),
    "pipe": (lambda f: replace(f, os.mkfifo), "undecodable", "00007.jpg: is not a file"),
    "other size": (other_size, "size", "00007.jpg: 32x32, unlike the other frames"),
    "gap": (lambda f: lose(f, "00007.jpg"), "count", "00007.jpg: missing, though frames go up to 20"),
    "lost end": (lambda f: lose(f, "TVL1*_00019.jpg"), "count", "missing"),
    "no flow": (lambda f: lose(f, "TVL1*"), "missing", "no flow images"),
    "gone": (shutil.rmtree, "missing", "no such folder"),
    "link out": (link_out, "outside", "leads out of"),
    "middle": (lambda f: without_tables(f / "00010.jpg"), "undecodable", "00010.jpg: damaged image"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_named_with_its_file_and_ends_in_quarantine(own_hmdb51, damage, caplog, capsys):
    root = own_hmdb51 / "frames"
    change, kind, words = DAMAGE[damage]
    change(root / VIDEO)
    report = run(own_hmdb51, "--quarantine")
    assert kinds(report) == {kind: 1}
    assert f"error: {kind}: 1 (" in capsys.readouterr().out
    (problem,) = report.errors
    assert problem.path == VIDEO
    assert words in problem.text
    assert "\n" not in problem.text
    assert list(read_quarantine(root)) == [VIDEO]
    assert read_quarantine(root)[VIDEO] == f"audit: {kind}: {problem.text}"
    assert VIDEO not in read_manifest(root).located
    entries = list_videos(own_hmdb51 / "labels", 1, "train").entries
    kept = without_quarantined(entries, read_quarantine(root), strict=False, missing="error")
    videos = find_videos(kept, FrameFolders(root), needs={"rgb", "flow"}, located=read_manifest(root).located)
    assert [video.name for video in videos] == [entry.path for entry in entries if entry.path != VIDEO]
    assert "3 of 4 listed videos used (1 in quarantine)" in caplog.text
    with pytest.raises(ValueError, match=rf"{VIDEO}: in quarantine \(audit: {kind}"):
        without_quarantined(entries, read_quarantine(root), strict=True, missing="error")


def test_a_mended_video_leaves_the_quarantine(own_hmdb51):
    root = own_hmdb51 / "frames"
    data = (root / VIDEO / "00007.jpg").read_bytes()
    truncate(root / VIDEO, size=0)
    update_quarantine(root, {}, [])
    run(own_hmdb51, "--quarantine")
    assert list(read_quarantine(root)) == [VIDEO]
    run(own_hmdb51)  # without the option nothing is touched
    (root / VIDEO / "00007.jpg").write_bytes(data)
    run(own_hmdb51, "--quarantine")
    assert read_quarantine(root) == {}


def test_every_frame_is_decoded_only_when_asked(own_hmdb51):
    without_tables(own_hmdb51 / "frames" / VIDEO / "00005.jpg")
    assert kinds(run(own_hmdb51)) == {}
    assert kinds(run(own_hmdb51, "--deep")) == {"undecodable": 1}


def test_many_damaged_files_of_a_video_are_one_problem_of_each_kind(own_hmdb51):
    folder = own_hmdb51 / "frames" / VIDEO
    for i in (3, 4, 5):
        (folder / f"{i:05d}.jpg").write_bytes(b"")
    other_size(folder)
    report = run(own_hmdb51)
    assert kinds(report) == {"empty": 1, "size": 1}
    assert "00003.jpg: empty (and 2 more)" in report.errors[0].text


def test_flow_is_looked_at_only_where_it_is_wanted(own_hmdb51):
    truncate(own_hmdb51 / "frames" / VIDEO, "TVL1jpg_y_00007.jpg", -30)
    assert kinds(run(own_hmdb51, "--modality", "RGB")) == {}
    lose_flow(own_hmdb51 / "frames")
    assert kinds(run(own_hmdb51)) == {}
    assert read_manifest(own_hmdb51 / "frames").located[VIDEO].counts == {"rgb": FRAMES}
    lose(own_hmdb51 / "frames" / VIDEO, "00007.jpg")  # which does not make flow wanted
    assert kinds(run(own_hmdb51)) == {"count": 1}


def test_short_videos_are_warned_of(own_hmdb51):
    report = run(own_hmdb51, "--sample_duration", "20")
    assert {p.kind for p in report.problems} == {"official", "short"}
    assert not report.errors
    assert [p.kind for p in run(own_hmdb51, "--sample_duration", "1").problems if p.kind == "short"] == []


def test_what_is_in_no_list_is_warned_of(own_hmdb51):
    root = own_hmdb51 / "frames"
    write_frames(root / "cartwheel" / "extra", seed=1)
    write_frames(root / "yoga" / "film0", seed=2)
    (root / ".part-x").mkdir()
    report = run(own_hmdb51)
    assert [(p.kind, p.path) for p in report.problems if p.kind.startswith("un")] == [
        ("unlisted", "cartwheel/extra"),
        ("unlisted class", ""),
    ]
    assert str(root / "yoga") in report.problems[-1].text
    assert not report.errors


def test_a_copy_in_the_test_list_is_an_error_and_elsewhere_a_warning(own_hmdb51):
    root = own_hmdb51 / "frames" / "cartwheel"
    trained, other, tested = (root / f"film{i}_cartwheel_f_cm_np1_fr_med_0" for i in range(3))
    shutil.rmtree(other)
    shutil.copytree(trained, other)
    assert kinds(run(own_hmdb51)) == {"duplicate": 1}
    shutil.rmtree(tested)
    shutil.copytree(trained, tested)
    report = run(own_hmdb51)
    assert kinds(report) == {"duplicate": 1, "overlap": 1}
    assert report.errors[0].path == f"cartwheel/{tested.name}"
    assert "the same content as 'cartwheel/film" in report.errors[0].text


def listing(*entries: Entry, names: tuple[str, ...] = ("run", "walk")) -> Listing:
    return Listing(list(entries), list(names))


def found(train: Listing, test: Listing) -> list[tuple[str, str]]:
    lists = Lists({(1, "train"): train, (1, "test"): test}, [])
    return [(p.kind, p.path) for p in check_lists(lists, "List")]


def test_lists_are_compared():
    a, b, c = Entry("run/a", 0, "A"), Entry("run/b", 0, "B"), Entry("walk/c", 1, "C")
    assert found(listing(a, c), listing(b)) == []
    assert found(listing(a, c), listing(a, b)) == [("overlap", "run/a")]
    assert found(listing(a, a), listing(b)) == [("duplicate", "run/a")]
    assert found(listing(a, a._replace(label=1)), listing(b))[0] == ("class", "run/a")
    assert found(listing(a), listing(b._replace(group="A"))) == [("group", "run/b")]
    assert found(listing(a._replace(label=7)), listing(b)) == [("class", "run/a")]
    assert found(listing(a._replace(label=1)), listing(b)) == [("class", "run/a")]
    assert found(listing(a._replace(path="x/a", label=1)), listing(b)) == []


def test_the_same_content_matters_within_a_split():
    a, b, c = Entry("a", 0, "a"), Entry("b", 0, "b"), Entry("c", 0, "c")
    lists = Lists({(1, "train"): listing(a), (1, "test"): listing(b), (2, "train"): listing(a, b)}, [])
    assert [p.kind for p in check_content(lists, {"a": "1", "b": "1"})] == ["overlap"]
    apart = Lists({(1, "train"): listing(a), (1, "test"): listing(c), (2, "test"): listing(b)}, [])
    assert [p.kind for p in check_content(apart, {"a": "1", "b": "1", "c": "2"})] == ["duplicate"]


@pytest.mark.parametrize(("dataset", "sizes"), [("UCF101", (9537, 3783)), ("HMDB51", (3570, 1530))])
def test_lists_of_official_length_are_fine(dataset, sizes):
    names = [f"class {i}" for i in range(101 if dataset == "UCF101" else 51)]
    train, test = ([Entry(f"{i}", 0, "") for i in range(size)] for size in sizes)
    lists = Lists({(1, "train"): Listing(train, names), (1, "test"): Listing(test, names)}, [])
    assert list(check_official(lists, dataset)) == []
    short = Lists({(1, "test"): Listing(test[1:], names[1:])}, [])
    texts = [p.text for p in check_official(short, dataset)]
    assert texts[0] == f"split 1 test: lists {sizes[1] - 1:,} videos, officially {sizes[1]:,}"
    assert "officially" in texts[1]


def test_a_malformed_list_is_reported_and_the_others_are_looked_at(own_hmdb51):
    (own_hmdb51 / "labels" / "cartwheel_test_split2.txt").write_text("no tag\n")
    report = run(own_hmdb51)
    assert kinds(report)["list"] == 1
    assert "cartwheel_test_split2.txt:1" in report.errors[0].text
    assert report.videos == 6


def test_without_lists_or_videos_the_error_says_so(own_hmdb51, tmp_path):
    (tmp_path / "none").mkdir()
    paths = ["--frame_dir", str(own_hmdb51 / "frames"), "--annotation_path", str(tmp_path / "none")]
    with pytest.raises(FileNotFoundError, match="test_split1"):
        audit.main(audit.parse_args(paths))
    with pytest.raises(FileNotFoundError, match="no such folder; --frame_dir"):
        audit.main(audit.parse_args(["--frame_dir", str(tmp_path / "absent")]))


def test_files_in_place_of_folders_are_looked_for_among_files(tmp_path):
    for name in ("run/a.mp4", "run/b.mp4", "run/notes.txt", "swim/c.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    problems = list(check_folder(tmp_path, [tmp_path / "run" / "a.mp4"]))
    assert [(p.kind, p.path) for p in problems] == [("unlisted class", ""), ("unlisted", "run/b.mp4")]


def test_video_files_are_audited_as_they_are(own_hmdb51):
    root = own_hmdb51 / "frames"
    for i, folder in enumerate(sorted(root.glob("*/*"))):
        shutil.rmtree(folder)
        write_video(folder.with_name(f"{folder.name}.mp4"), "mp4v", 16 + i)
    write_video(root / "cartwheel" / "extra.mp4", "mp4v", 9)
    file = root / f"{VIDEO}.mp4"
    report = run(own_hmdb51)
    assert report.layout == "video"
    assert kinds(report)["unlisted"] == 1
    assert not report.errors
    located = read_manifest(root).located[VIDEO]
    assert located == (str(file), {"rgb": 19}, 25.0)
    file.write_bytes(file.read_bytes()[:200])
    report = run(own_hmdb51)
    assert [(p.kind, p.path) for p in report.errors] == [("undecodable", VIDEO)]
    assert str(file) in report.errors[0].text


def test_damage_in_the_middle_of_a_file_is_found_by_deep_alone_as_extraction_finds_it(own_hmdb51, tmp_path, capfd):
    av = pytest.importorskip("av")
    root = own_hmdb51 / "frames"
    for folder in sorted(root.glob("*/*")):
        shutil.rmtree(folder)
        write_film(folder.with_name(f"{folder.name}.mp4"), count=40)
    file = root / f"{VIDEO}.mp4"
    with av.open(str(file)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][10]
        start, size = packet.pos, packet.size
    data = bytearray(file.read_bytes())
    data[start + 8 : start + size] = b"\xff" * (size - 8)
    file.write_bytes(data)
    assert not [problem for problem in run(own_hmdb51).errors if problem.path == VIDEO and "after 10" in problem.text]
    (problem,) = (problem for problem in run(own_hmdb51, "--deep").errors if problem.path == VIDEO)
    assert problem.text == f"{file}: it cannot be decoded after 10 frames; get the file again"
    capfd.readouterr()
    with pytest.raises(ValueError, match="1 of 6 videos could not be extracted"):
        extract_frames.main(extract_frames.parse_args([str(root), str(tmp_path / "out"), "--workers", "1"]))
    bad = f"bad video: {problem.text}, or take what is there with --allow_short"
    assert bad in capfd.readouterr().err.splitlines()


def test_packed_clips_are_audited_as_they_are(own_hmdb51):
    root = own_hmdb51 / "frames"
    pack.main(pack.parse_args([str(root), str(own_hmdb51 / "packed"), "--workers", "1"]))
    root.rename(own_hmdb51 / "source")
    (own_hmdb51 / "packed").rename(root)
    report = run(own_hmdb51)
    assert report.layout == "pack"
    assert kinds(report) == {}
    assert read_manifest(root).located[VIDEO].counts == {"rgb": FRAMES, "flow": FRAMES - 1}
    (root / f"{VIDEO}.flow.clips").unlink()
    shutil.copy(root / f"{VIDEO}.rgb.clips", root / "cartwheel" / "other.rgb.clips")
    report = run(own_hmdb51)
    assert kinds(report) == {"missing": 1, "unlisted": 1}


def test_other_layouts_are_audited_as_they_are(own_hmdb51):
    root = own_hmdb51 / "frames"
    for image in root.rglob("*.jpg"):
        name = image.name.replace("TVL1jpg_", "flow_")
        image.rename(image.with_name(name if name.startswith("flow") else f"img_{name}"))
    report = run(own_hmdb51)
    assert (report.layout, kinds(report)) == ("denseflow", {})
    (root / VIDEO / "img_00004.jpg").write_bytes(b"")
    assert kinds(run(own_hmdb51)) == {"empty": 1}


def test_odd_names_keep_the_report_on_single_lines():
    problems = [Problem("missing", "a\tb\nc", "a\tb\nc: no such folder"), Problem("list", "", "x:1: bad")]
    report = Report("List", "root", "sts", 1, [], sort_problems(problems))
    assert len(as_table(report).splitlines()) == 3
    assert all(line.count("\t") == 3 for line in as_table(report).splitlines())
    assert "a\\tb\\nc: no such folder" in as_text(report)


def test_every_kind_that_is_useless_is_an_error():
    assert all(KINDS[kind][0] == "error" for kind in audit_workflow.UNUSABLE)


def test_a_folder_that_cannot_be_written_is_refused_before_the_work(own_hmdb51, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    paths = ["--frame_dir", str(own_hmdb51 / "frames"), "--annotation_path", str(own_hmdb51 / "labels")]
    with pytest.raises(ValueError, match=r"not writable.*--json"):
        audit.main(audit.parse_args(paths))
    report = run(own_hmdb51)
    assert not report.errors
    assert not (own_hmdb51 / "frames" / MANIFEST).exists()


@pytest.mark.parametrize("flags", [[], [cv2.IMWRITE_JPEG_PROGRESSIVE, 1], [cv2.IMWRITE_JPEG_RST_INTERVAL, 2]])
def test_the_size_of_an_image_stands_at_its_beginning(tmp_path, flags):
    path = tmp_path / "a.jpg"
    cv2.imwrite(str(path), np.zeros((30, 70, 3), np.uint8), flags)
    assert check_image(path) == (None, (70, 30))
    data = path.read_bytes()
    comment = b"\xff\xfe" + (60_000).to_bytes(2) + b"\0" * 59_998  # a picture before the picture
    path.write_bytes(data[:2] + comment + data[2:])
    assert check_image(path) == (None, (70, 30))
    path.write_bytes(data + b"\0" * 100)
    assert check_image(path) == (None, (70, 30))


def test_images_of_other_formats_are_decoded(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(cv2.imencode(".png", np.zeros((30, 70, 3), np.uint8))[1].tobytes())
    assert check_image(path) == (None, (70, 30))
    path.write_bytes(path.read_bytes()[:40])
    assert check_image(path)[0].kind == "undecodable"


def crash_at_film0(job, worker):
    if job.path == VIDEO:
        os.kill(os.getpid(), 11)
    return check_video(job, worker)


@pytest.mark.slow
def test_a_video_that_kills_the_process_is_named_and_the_others_are_looked_at(own_hmdb51, monkeypatch):
    monkeypatch.setattr(audit_workflow, "check_video", crash_at_film0)
    report = run(own_hmdb51, "--n_workers", "2")
    assert kinds(report) == {"crash": 1}
    assert report.errors[0].path == VIDEO
    assert len(read_manifest(own_hmdb51 / "frames").located) == 5
