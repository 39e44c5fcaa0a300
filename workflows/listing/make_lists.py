"""Conversion of lists of videos."""

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from datasets.corpora import DATASETS
from datasets.lists.any_list import list_videos as read_lists
from datasets.lists.entries import Listing, ListVideos
from sts_common import counted
from sts_common.files import encoded, write_text

from .frame_markers import MARKERS, FrameCounts, write_marker
from .list_writers import WRITERS, Files, Lists
from .own_videos import list_own

SUBSETS = ("train", "test")
SPLITS = {"HMDB51": (1, 2, 3), "UCF101": (1, 2, 3)}  # others have one
NAMELESS = ("kinetics",)  # forms that say no class names: there the folders are the classes

log = logging.getLogger(__name__)


def read(source: Path, split: int, list_videos: ListVideos) -> Lists:
    """Read both subsets of SRC; one may be missing. Raises as `make_lists`."""
    listings: dict[str, Listing] = {}
    missing: list[FileNotFoundError] = []
    for subset in SUBSETS:
        try:
            listings[subset] = list_videos(source, split, subset)
        except FileNotFoundError as error:  # which names options of train.py
            reason = str(error).partition("; check --")[0]
            missing.append(FileNotFoundError(f"{reason}; check SRC, --from and --split"))
    if not listings:
        raise missing[0]
    for absent in missing:
        log.warning("%s", absent)
    names = next(iter(listings.values())).class_names
    train, test = (listings[subset].entries if subset in listings else [] for subset in SUBSETS)
    if both := {entry.path for entry in train} & {entry.path for entry in test}:
        count = counted(len(both), "video")
        log.warning("%s: %s in the training and in the test list, as %r", source, count, min(both))
    return Lists({"train": train, "test": test}, names, split)


def recognise(source: Path, split: int) -> str:
    """Return the name in `DATASETS` whose files SRC holds; raises as `make_lists`."""
    problems: list[ValueError] = []
    for name, list_videos in DATASETS.items():
        for subset in SUBSETS:
            try:
                list_videos(source, split, subset)
            except FileNotFoundError:
                continue
            except ValueError as error:
                problems.append(error)
                continue
            log.info("%s: lists of %s", source, name)
            return name
    if problems:
        raise problems[0]
    raise FileNotFoundError(f"{source}: no list of a known data set; name it by --from, see --help, and its --split")


def convert(lists: Lists, to: str, separator: str = " ") -> Files:
    """Format the lists of one split, by file name, and read them again to be sure.

    `to` is a key of `WRITERS`, `separator` between the fields of "ibm". Raises ValueError if the form cannot hold them.
    """
    write, reader = WRITERS[to]
    files = write(lists, separator) if to == "ibm" else write(lists)
    files = {name: text for name, text in files.items() if text}  # a subset without videos has no list
    with TemporaryDirectory() as place:
        for name, text in files.items():
            write_text(Path(place, name), text)
        for subset in SUBSETS:
            compare(to, lists, subset, DATASETS[reader], Path(place))
    return files


def compare(form: str, lists: Lists, subset: str, list_videos: ListVideos, place: Path) -> None:
    """Raise a ValueError if the written lists do not read as the entries they were made from."""
    entries = lists.subsets[subset]
    if not entries:
        return
    try:
        written, names = list_videos(place, lists.split, subset)
    except (ValueError, FileNotFoundError) as error:
        raise ValueError(f"--to {form} cannot hold these names, csv can: {error}") from None
    pairs = zip(entries, written, strict=False)
    wrong = next(
        (a for a, b in pairs if (a.path, a.label, a.segment or b.segment) != (b.path, b.label, b.segment)), None
    )
    if wrong or len(written) != len(entries):
        raise ValueError(f"--to {form} cannot hold {(wrong or entries[-1]).path!r}; use --to csv")
    if form not in NAMELESS and names != lists.class_names:
        raise ValueError(f"--to {form} cannot hold the class names {lists.class_names[:3]}, ...; use --to csv")


def write_files(files: Files, folder: Path, force: bool) -> list[Path]:
    """Write files, each whole or not at all; return them.

    Raises ValueError, and writes none, if one is there that says something else and is not to be replaced.
    """
    paths = {folder / name: text for name, text in files.items()}
    stale = [path for path, text in paths.items() if path.exists() and path.read_bytes() != encoded(text)]
    if stale and not force:
        raise ValueError(f"{stale[0]}: is there already, and says something else; replace it with --force")
    for path, text in paths.items():
        write_text(path, text)
    return list(paths)


def make_lists(  # noqa: PLR0913  an interface of keywords
    source: Path,
    out: Path | None = None,
    *,
    form: str = "auto",
    to: str = "csv",
    split: int | None = None,
    frame_dir: Path | None = None,
    layout: str = "auto",
    video_dir: Path | None = None,
    streams: Sequence[str] = ("rgb",),
    separator: str = " ",
    first_label: int = 0,
    strip: str = "",
    force: bool = False,
) -> list[Path]:
    """Convert lists of videos to another form, as utils1/make_lists.py does with its options; `form` is --from.

    `out` None is for the markers "n_frames" and "fps", which are beside the frames. Returns the lists that were
    written. Raises FileNotFoundError if there are no lists; ValueError if a list is malformed or empty, the form cannot
    hold it, or other files are there.
    """
    if form == "auto":
        form = "List" if strip or first_label else recognise(source, split or 1)
    forms = DATASETS | {"List": partial(read_lists, first=first_label, strip=strip)}
    files: Files = {}
    splits = [split] if split else SPLITS.get(form, (1,))
    for number in splits:
        lists = list_own(source)._replace(split=number) if form == "frames" else read(source, number, forms[form])
        entries = [entry for subset in SUBSETS for entry in lists.subsets[subset]]
        if not entries:
            raise ValueError(f"{source}: lists no video of split {number}")
        counts = FrameCounts(frame_dir, layout, entries) if frame_dir else None
        if to in MARKERS:
            write_marker(to, entries, counts, video_dir, force)
            continue
        lists = lists._replace(images=counts, streams=tuple(streams))
        several = len(splits) > 1 and to in ("ibm", "csv", "kinetics")  # whose names do not say the split
        texts = convert(lists, to, separator)
        files |= {f"split{number}/{name}" if several else name: text for name, text in texts.items()}
    if not files:
        return []
    if out is None:
        raise ValueError(f"--to {to} needs OUT")
    written = write_files(files, out, force)
    for path in written:
        log.info("%s", path)
    return written
