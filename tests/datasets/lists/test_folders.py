"""One function says what the videos of a folder are: extraction, lists, audits and predictions agree on it."""

import logging
import os
from pathlib import Path

import pytest

from datasets.lists.class_folders import NO_VIDEO, Search, find_tree
from datasets.lists.links import LINKS
from datasets.records.manifest import MANIFEST
from datasets.records.quarantine import QUARANTINE
from workflows.auditing.audit import AUDIT
from workflows.auditing.lists_and_folders import check_folder
from workflows.extracting.extraction import find_videos
from workflows.listing.own_videos import list_own
from workflows.predicting.inputs import find_inputs

ALL = slice(None, None)


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def extracted(root: Path, classes: slice = ALL) -> list[str]:
    return [file.relative_to(root).with_suffix("").as_posix() for file in find_videos(root, classes)]


def listed(root: Path) -> list[str]:
    return [entry.path for entry in list_own(root).subsets["train"]]


def predicted(root: Path) -> list[str]:
    return [video.name.as_posix() for video in find_inputs([str(root)])]


def lay_out(root: Path) -> Path:
    """A folder as archives, cameras and users leave it, and links out of it."""
    touch(root, "walk/a.mp4", "walk/day 1/b.MOV", "walk/day 1/c.avi", "jump/d.mkv", "_backup/readme.txt")
    touch(root, "__MACOSX/walk/._a.mp4", "walk/._a.mp4", "walk/notes.txt", ".trash/x.mp4", "run/.cache/y.mp4")
    touch(root.parent / "disk", "swim/e.mp4", "swim/deep/er/f.webm")
    (root / "swim").symlink_to(root.parent / "disk" / "swim")
    (root / "walk" / "gone.mp4").symlink_to("nowhere.mp4")
    return root


VIDEOS = ["jump/d", "swim/deep/er/f", "swim/e", "walk/a", "walk/day 1/b", "walk/day 1/c"]


def test_extraction_lists_and_predictions_take_the_same_videos(tmp_path):
    root = lay_out(tmp_path / "videos")
    assert sorted(extracted(root)) == listed(root) == predicted(root) == VIDEOS
    assert list_own(root).class_names == ["jump", "swim", "walk"]


def test_what_is_left_out_is_said_with_the_reason_the_count_and_the_first_names(tmp_path, caplog):
    root = lay_out(tmp_path / "videos")
    touch(root, *(f"walk/{i}.jpg" for i in range(5)), LINKS, MANIFEST, QUARANTINE, AUDIT)  # no word about ours
    said = list(find_tree(root).search.lines())
    assert [line.removeprefix(f"{root}: ") for line in said] == [
        "2 left out (hidden): '__MACOSX/walk/._a.mp4', 'walk/._a.mp4'",
        f"7 left out ({NO_VIDEO}): '_backup/readme.txt', 'walk/0.jpg', 'walk/1.jpg', ...",
        "1 left out (a link to nothing, or no file): 'walk/gone.mp4'",
        "3 left out (no video in it, so no class): '__MACOSX', '_backup', 'run'",
    ]
    with caplog.at_level(logging.INFO):
        find_videos(root, ALL)
    assert caplog.messages == said


def test_start_and_end_count_folders_that_hold_videos(tmp_path):
    root = lay_out(tmp_path / "videos")
    assert extracted(root, slice(1, 2)) == ["swim/deep/er/f", "swim/e"]
    assert extracted(root, slice(2, 51)) == ["walk/a", "walk/day 1/b", "walk/day 1/c"]
    with pytest.raises(ValueError, match=r"START END = 3 9 chooses none of its 3 class folders"):
        extracted(root, slice(3, 9))


@pytest.mark.parametrize(
    ("place", "target"),
    [
        ("walk/again", ".."),
        ("walk/day/up", "../.."),
        ("walk/self", "."),
        ("walk/root", "../../videos"),
        ("walk/out", "/"),
    ],
)
def test_links_that_lead_back_are_not_followed(place, target, tmp_path):
    root = touch(tmp_path / "videos", "walk/a.mp4", "walk/day/b.mp4")
    if target == "/":  # to a folder outside from which another link leads back
        target = tmp_path / "disk"
        target.mkdir()
        (target / "back").symlink_to(root)
    (root / place).symlink_to(target)
    assert listed(root) == ["walk/a", "walk/day/b"]
    assert len(extracted(root)) == len(predicted(root)) == 2
    assert any("a link to a folder above it" in line for line in find_tree(root).search.lines())


def test_a_video_must_not_become_the_folder_of_others(tmp_path):
    root = touch(tmp_path / "videos", "walk/a.mp4", "walk/a/b.mp4", "jump/c.mp4")
    message = r"walk/a\.mp4: would become the folder in which walk/a/b\.mp4 lies; rename one"
    for look in (listed, extracted):
        with pytest.raises(ValueError, match=message):
            look(root)
    assert extracted(root, slice(0, 1)) == ["jump/c"]


def test_pictures_beside_videos_are_no_videos(tmp_path):
    root = touch(tmp_path / "videos", "walk/a.mp4", "walk/thumbs/00001.jpg", "walk/day/cover.jpg", "walk/day/in/b.mp4")
    assert listed(root) == ["walk/a", "walk/day/in/b"]


def test_frames_behind_links_are_videos_wherever_the_links_lead(tmp_path):
    root = touch(tmp_path / "frames", "walk/a/00001.jpg", "walk/a/extra/00001.jpg", "walk/b/00001.jpg")
    touch(tmp_path / "disk", "jump/c/00001.jpg")
    (root / "jump").symlink_to(tmp_path / "disk" / "jump")
    (root / "alias").symlink_to("walk")
    assert listed(root) == ["alias/a", "alias/b", "jump/c", "walk/a", "walk/b"]
    assert not list(find_tree(root).search.lines())
    with pytest.raises(ValueError, match="holds folders of frames alone"):
        extracted(root)


def test_videos_beside_class_folders_are_in_no_class(tmp_path):
    root = touch(tmp_path / "videos", "walk/a.mp4", "stray.mp4")
    assert extracted(root) == ["walk/a"]
    assert any("in no class folder): 'stray.mp4'" in line for line in find_tree(root).search.lines())
    with pytest.raises(ValueError, match=r"stray\.mp4: lies in no class"):
        listed(root)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_a_folder_that_cannot_be_read_is_said(tmp_path):
    root = touch(tmp_path / "videos", "walk/a.mp4", "lost+found/b.mp4")
    (root / "lost+found").chmod(0)
    assert listed(root) == ["walk/a"]
    assert any("cannot be read): 'lost+found'" in line for line in find_tree(root).search.lines())


def test_an_audit_calls_a_folder_without_videos_no_class(tmp_path):
    root = lay_out(tmp_path / "videos")
    problems = list(check_folder(root, {root / "jump" / "d.mkv"}))
    assert [problem.text.split("/videos/")[1].split(":")[0] for problem in problems] == ["swim", "walk"]


def test_walking_enters_no_folder_that_is_taken_out(tmp_path):
    root = touch(tmp_path / "videos", "a/b/c.mp4", "d/e.mp4")
    seen = []
    for folder, folders, _ in Search(root).walk():
        seen.append(folder.name)
        folders[:] = [name for name in folders if name != "a"]
    assert seen == ["videos", "d"]
