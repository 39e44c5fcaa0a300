"""Search for the videos in a folder with one folder per class, as extraction, lists, audits and predictions use it."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath
from typing import NamedTuple

from .annotations import VIDEOS
from .links import RECORDS

IMAGES = (".jpg", ".jpeg", ".png")
EXAMPLES = 3  # names that are shown of what is left out
HIDDEN = "hidden"
NO_VIDEO = f"no video, which ends in {' '.join(VIDEOS)}"
NO_FILE = "a link to nothing, or no file"
NO_VIDEOS_IN_CLASS = "no video in it, so no class"
NO_CLASS = "in no class folder"
LINK_BACK = "a link to a folder above it"
UNREADABLE = "cannot be read"


class Search:
    """Search of a folder, with a count of what it leaves out by the reason, and the first of those as examples."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.left_out = Counter[str]()
        self.examples: dict[str, list[str]] = {}

    def leave_out(self, reason: str, place: Path) -> None:
        """Count a path that is left out."""
        self.left_out[reason] += 1
        if self.left_out[reason] <= EXAMPLES:
            self.examples.setdefault(reason, []).append(place.relative_to(self.root).as_posix())

    def lines(self) -> Iterator[str]:
        """Yield a line for each reason: how many were left out, and the first of them."""
        for reason, count in self.left_out.items():
            more = ", ..." if count > EXAMPLES else ""
            yield f"{self.root}: {count:,} left out ({reason}): {', '.join(map(repr, self.examples[reason]))}{more}"

    def walk(self) -> Iterator[tuple[Path, list[str], list[str]]]:
        """Yield every folder with the names of its folders and of its files, sorted; hidden ones are left out.

        Links to folders are followed but where they lead back. A folder that is taken out of the list is not entered.
        """
        for place, folders, files in os.walk(self.root, followlinks=True, onerror=self.leave_out_unreadable):
            folder = Path(place)
            shown = (folder / name for name in sorted(folders) if not name.startswith("."))
            folders[:] = [path.name for path in shown if not self.leads_back(path)]
            for name in files:
                if name.startswith(".") and name.lower().endswith(VIDEOS):
                    self.leave_out(HIDDEN, folder / name)
            yield folder, folders, sorted(name for name in files if not name.startswith(".") and name not in RECORDS)

    def leave_out_unreadable(self, error: OSError) -> None:
        self.leave_out(UNREADABLE, Path(error.filename))

    def leads_back(self, folder: Path) -> bool:
        """Whether a folder is a link to one of those that it lies in."""
        if not (folder.is_symlink() and any(folder.samefile(above) for above in folder.absolute().parents)):
            return False
        self.leave_out(LINK_BACK, folder)
        return True


class VideoPath(NamedTuple):
    """Path of a video that a search found."""

    path: str  # below the root, with forward slashes and without the extension of a file
    suffix: str = ""  # the extension; "" for a folder of frames

    @property
    def folder(self) -> str:
        """The first folder, which is the class; "" where the video lies in the root itself."""
        return self.path.partition("/")[0] if "/" in self.path else ""


class Tree(NamedTuple):
    """Videos in the order of their paths, all of them files or all folders of frames, and the search for them."""

    videos: list[VideoPath]
    search: Search

    @property
    def folders(self) -> list[str]:
        """The class folders, sorted: those that hold a video, at any depth."""
        return sorted({video.folder for video in self.videos})


def find_tree(root: Path) -> Tree:
    """Find every video file at any depth below the class folders; where there is none, every folder of frames.

    Where no class folder holds a file, as in Something-Something, the videos are the files in the root itself. Raises
    FileNotFoundError if there is no such folder, or it holds no video.
    """
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder; it must hold one folder of videos per class")
    search = Search(root)
    files, frames = list[Path](), list[Path]()
    for folder, _, names in search.walk():
        if folder.parent not in (root, root.parent) and any(name.lower().endswith(IMAGES) for name in names):
            frames.append(folder)
        files += video_files(folder, names, search)
    videos = select_files(files, search) if files else select_frame_folders(frames, search)
    if not videos:
        raise FileNotFoundError(f"{root}: no class folder holds a video ({' '.join(VIDEOS)}) or a folder of frames")
    tree = Tree(sorted(videos), search)
    classes = set(tree.folders)
    for folder in sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")):
        if folder.name not in classes:
            search.leave_out(NO_VIDEOS_IN_CLASS, folder)
    return tree


def video_files(folder: Path, names: Sequence[str], search: Search) -> Iterator[Path]:
    """Yield the videos among the files of a folder."""
    for name in names:
        if not name.lower().endswith(VIDEOS):
            search.leave_out(NO_VIDEO, folder / name)
        elif not (folder / name).is_file():
            search.leave_out(NO_FILE, folder / name)
        else:
            yield folder / name


def select_files(files: Sequence[Path], search: Search) -> list[VideoPath]:
    """Select the video files in class folders; if there are none, those in the root itself."""
    classed = [file for file in files if file.parent != search.root]
    for file in files if classed else ():
        if file.parent == search.root:
            search.leave_out(NO_CLASS, file)
    places = (file.relative_to(search.root) for file in classed or files)
    return [VideoPath((place.parent / place.stem).as_posix(), place.suffix) for place in places]


def select_frame_folders(folders: Sequence[Path], search: Search) -> list[VideoPath]:
    """Select the folders of frames that are in no other one."""
    del search.left_out[NO_VIDEO]
    videos: set[Path] = set()
    for folder in folders:
        if videos.isdisjoint(folder.parents):
            videos.add(folder)
    return [VideoPath(folder.relative_to(search.root).as_posix()) for folder in videos]


def refuse_clashes(root: Path, videos: Sequence[VideoPath]) -> None:
    """Raise ValueError if two videos differ in their extension alone, or one would become a folder of others."""
    first: dict[str, VideoPath] = {}
    for video in videos:
        if (other := first.setdefault(video.path, video)) is not video:
            raise ValueError(
                f"{root / other.path}{other.suffix}: and {PurePath(video.path).name}{video.suffix} would become the "
                "same folder; rename or remove one"
            )
    for video in videos:
        for above in map(str, PurePath(video.path).parents):
            if above in first:
                raise ValueError(
                    f"{root / above}{first[above].suffix}: would become the folder in which {video.path}{video.suffix} "
                    "lies; rename one"
                )
