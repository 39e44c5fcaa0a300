"""Conversion of lists of videos."""

import logging
from argparse import Namespace
from pathlib import Path
from tempfile import TemporaryDirectory

from datasets.corpora import DATASETS
from datasets.lists.any_list import list_videos as read_lists
from datasets.lists.entries import Listing, ListVideos
from sts_common import counted
from sts_common.files import encoded, write_text

from .frame_markers import MARKERS, FrameCounts, write_marker
from .list_writers import WRITERS, Files, Lists
from .own_videos import follow_links, list_own

SUBSETS = ("train", "test")

SPLITS = {"HMDB51": (1, 2, 3), "UCF101": (1, 2, 3)}  # others have one

NAMELESS = ("kinetics",)  # forms that say no class names: there the folders are the classes

log = logging.getLogger(__name__)


def read(opt: Namespace, split: int) -> Lists:
    """Read both subsets of SRC; one may be missing.

    Raises:
        FileNotFoundError: If both are.
        ValueError: If a list is malformed.
    """
    if opt.source_form == "frames":
        lists, videos = list_own(opt.source)
        follow_links(opt.source, videos)
        return lists._replace(split=split)
    listings: dict[str, Listing] = {}
    missing: list[FileNotFoundError] = []
    for subset in SUBSETS:
        try:
            listings[subset] = listing(opt, split, subset)
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
        log.warning("%s: %s in the training and in the test list, as %r", opt.source, count, min(both))
    return Lists({"train": train, "test": test}, names, split)


def listing(opt: Namespace, split: int, subset: str) -> Listing:
    """Read one subset of SRC."""
    if opt.source_form == "List":
        return read_lists(opt.source, split, subset, opt.first_label, opt.strip)
    return DATASETS[opt.source_form](opt.source, split, subset)


def recognise(source: Path, split: int) -> str:
    """Return the name in `DATASETS` whose files SRC holds.

    Raises:
        FileNotFoundError: If it holds nobody's.
        ValueError: If those that it holds are malformed.
    """
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


def convert(opt: Namespace, lists: Lists) -> Files:
    """Format the lists of one split, by file name, and read them again to be sure."""
    write, reader = WRITERS[opt.to]
    files = write(lists, opt.separator) if opt.to == "ibm" else write(lists)
    files = {name: text for name, text in files.items() if text}  # a subset without videos has no list
    with TemporaryDirectory() as place:
        for name, text in files.items():
            write_text(Path(place, name), text)
        for subset in SUBSETS:
            compare(opt.to, lists, subset, DATASETS[reader], Path(place))
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


def put(files: Files, folder: Path, force: bool) -> list[Path]:
    """Write files, each whole or not at all; return them.

    Raises:
        ValueError: If one is there that says something else, and is not to be replaced; then none is written.
    """
    paths = {folder / name: text for name, text in files.items()}
    stale = [path for path, text in paths.items() if path.exists() and path.read_bytes() != encoded(text)]
    if stale and not force:
        raise ValueError(f"{stale[0]}: is there already, and says something else; replace it with --force")
    for path, text in paths.items():
        write_text(path, text)
    return list(paths)


def main(opt: Namespace) -> None:
    """Convert the lists."""
    if opt.source_form == "auto":
        form = "List" if opt.strip or opt.first_label else recognise(opt.source, opt.split or 1)
        opt = Namespace(**vars(opt) | {"source_form": form})
    files: Files = {}
    splits = [opt.split] if opt.split else SPLITS.get(opt.source_form, (1,))
    for split in splits:
        lists = read(opt, split)
        entries = [entry for subset in SUBSETS for entry in lists.subsets[subset]]
        if not entries:
            raise ValueError(f"{opt.source}: lists no video of split {split}")
        counts = FrameCounts(opt.frame_dir, opt.layout, entries) if opt.frame_dir else None
        if opt.to in MARKERS:
            write_marker(opt.to, entries, counts, opt.video_dir, opt.force)
            continue
        lists = lists._replace(images=counts, streams=tuple(opt.streams))
        several = len(splits) > 1 and opt.to in ("ibm", "csv", "kinetics")  # whose names do not say the split
        files |= {f"split{split}/{name}" if several else name: text for name, text in convert(opt, lists).items()}
    for path in put(files, opt.out, opt.force) if files else ():
        log.info("%s", path)
