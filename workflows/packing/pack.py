"""Conversion of frame folders to packed clips: one file per video and stream, with the image files unchanged."""

import logging
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from datasets.stores.frames import FrameFolders
from datasets.stores.pack_format import RECORD, SUFFIX, VERSION
from datasets.stores.provenance import FLOW_FILE, FRAMES_FILE, claim
from sts_common import counted, size_in_words
from sts_common.files import write_atomically

from ..stored_flow.convert import in_parallel
from .restore import Files, unpack, verify
from .tree import Job, choose_layout, find_folders, pack_video, packed_videos

log = logging.getLogger(__name__)


def main(opt: Namespace) -> None:
    """Pack, verify or unpack."""
    check_options(opt)
    if opt.unpack:
        unpack_tree(opt)
    elif opt.target is None:
        verify_tree(opt.source, None, opt.workers)
    else:
        pack_tree(opt)
        if opt.verify:
            verify_tree(opt.target, opt.source, opt.workers)


def check_options(opt: Namespace) -> None:
    """Raise ValueError for options that do not go together."""
    if opt.target is None and (opt.unpack or not opt.verify):
        raise ValueError("DST is missing: give a folder for the result, or --verify to check SRC")
    if opt.unpack and opt.verify:
        raise ValueError("--unpack checks what it writes; leave out --verify")
    if opt.workers < 1:
        raise ValueError(f"--workers {opt.workers}: must be at least 1")
    if opt.target and opt.source.resolve() in (opt.target.resolve(), *opt.target.resolve().parents):
        raise ValueError(f"{opt.target}: is SRC or lies in it; choose another DST")


def pack_tree(opt: Namespace) -> None:
    """Pack every video of SRC."""
    layout = choose_layout(opt.source, opt.layout)
    store = FrameFolders(opt.source, layout)
    folders = find_folders(store)
    if not folders:
        raise FileNotFoundError(f"{opt.source}: holds no frames of --layout {layout}")
    opt.target.mkdir(parents=True, exist_ok=True)
    claim(opt.target, RECORD, {"version": VERSION, "layout": layout, "flow_lag": store.flow_lag})
    copy_records(opt.source, opt.target)
    jobs = [Job(opt.source, layout, f, opt.target / f.relative_to(opt.source)) for f in folders]
    outcomes = list(in_parallel(pack_video, jobs, opt.workers))
    before, after = sum(o.before for o in outcomes), sum(o.after for o in outcomes)
    done = sum(not o.problem for o in outcomes)
    log.info(f"packed {counted(done, 'video')} ({sum(o.skipped for o in outcomes)} files were there already)")
    if before:
        log.info(f"{size_in_words(before)} became {size_in_words(after)}, {after / before:.3f} of it")
    fail([o.problem for o in outcomes], "packed")


def verify_tree(packed: Path, source: Path | None, workers: int) -> None:
    """Compare every packed image with its checksum, and with the files of `source`."""
    counts = on_videos(verify, packed, source, workers, "are sound")
    images = counted(sum(counts), "image")
    log.info(f"verified {images} in {packed}: every byte as in {source or 'the files they were'}")


def unpack_tree(opt: Namespace) -> None:
    """Restore the tree that was packed."""
    if not any(opt.source.glob(RECORD)):
        raise FileNotFoundError(f"{opt.source / RECORD}: no such file; SRC must hold packed clips")
    opt.target.mkdir(parents=True, exist_ok=True)
    sizes = on_videos(unpack, opt.source, opt.target, opt.workers, "could be unpacked")
    copy_records(opt.source, opt.target)
    log.info(f"unpacked {counted(len(sizes), 'video')}, {size_in_words(sum(sizes))} written")


def on_videos(function: Callable[..., Any], packed: Path, root: Path | None, workers: int, done: str) -> list[int]:
    """Sum the counts of `function` over every packed video.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If one fails.
    """
    jobs = [Files(files, root) for files in packed_videos(packed)]
    if not jobs:
        raise FileNotFoundError(f"{packed}: holds no packed clips (*{SUFFIX})")
    outcomes = list(in_parallel(function, jobs, workers))
    fail([problem for _, problem in outcomes], done)
    return [count for count, _ in outcomes]


def copy_records(source: Path, target: Path) -> None:
    """Copy what the extraction recorded at the root.

    Raises:
        ValueError: If another record is there.
    """
    for file in (source / name for name in (FRAMES_FILE, FLOW_FILE)):
        if file.is_file():
            copy, content = target / file.name, file.read_bytes()
            if copy.exists() and copy.read_bytes() != content:
                raise ValueError(f"{copy}: is unlike {file}; choose another DST")
            write_atomically(copy, lambda opened, content=content: opened.write(content))  # type: ignore[misc]


def fail(problems: Sequence[str], done: str) -> None:
    """Name every problem, and raise ValueError if there is one."""
    bad = [problem for problem in problems if problem]
    for problem in bad:
        tqdm.write(f"bad video: {' '.join(problem.split())}", file=sys.stderr)
    if bad:
        rest = len(problems) - len(bad)
        raise ValueError(f"{len(bad)} of {counted(len(problems), 'video')} failed (named above); {rest} {done}")
