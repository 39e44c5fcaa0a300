"""Conversion of frame folders to packed clips: one file per video and stream, with the image files unchanged."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from datasets.stores.frames import FrameFolders
from datasets.stores.pack_format import RECORD, SUFFIX, VERSION
from datasets.stores.provenance import FLOW_FILE, FRAMES_FILE, claim
from sts_common import cores, counted, size_in_words
from sts_common.cluster import Cluster, open_cluster, refuse_workers
from sts_common.files import write_atomically

from ..extracting.progress import say
from ..stored_flow.convert import in_parallel
from .restore import Files, lost_files, unpack, verify
from .tree import Job, choose_layout, find_folders, lost_folder, pack_video, packed_videos

log = logging.getLogger(__name__)


def pack_tree(
    source: str | Path,
    target: str | Path,
    *,
    layout: str = "auto",
    workers: int | None = None,
    cluster: str | None = None,
) -> None:
    """Pack the frame folders of every video, as utils1/pack.py does; files that are there are skipped.

    `layout` is a key of `LAYOUTS`, or "auto"; `target` is made if missing. Processes are `workers`, None for one per
    core, or those of the Dask scheduler `cluster`, see `open_cluster`. Raises FileNotFoundError if there are no frames
    of that layout; ValueError if `target` lies in `source` or holds clips of another, or if videos could not be packed.
    """
    source, target, workers = resolve(source, target, workers, cluster)
    layout = choose_layout(source, layout)
    store = FrameFolders(source, layout)
    folders = find_folders(store)
    if not folders:
        raise FileNotFoundError(f"{source}: holds no frames of --layout {layout}")
    with open_cluster(cluster, [source], target) as others:
        target.mkdir(parents=True, exist_ok=True)
        claim(target, RECORD, {"version": VERSION, "layout": layout, "flow_lag": store.flow_lag})
        copy_records(source, target)
        jobs = [Job(source, layout, f, target / f.relative_to(source)) for f in folders]
        outcomes = list(in_parallel(pack_video, jobs, workers, others, lost_folder))
    before, after = sum(o.before for o in outcomes), sum(o.after for o in outcomes)
    done = sum(not o.problem for o in outcomes)
    log.info(f"packed {counted(done, 'video')} ({sum(o.skipped for o in outcomes)} files were there already)")
    if before:
        log.info(f"{size_in_words(before)} became {size_in_words(after)}, {after / before:.3f} of it")
    raise_failures([o.problem for o in outcomes], "packed")


def verify_tree(
    packed: str | Path, source: str | Path | None = None, *, workers: int | None = None, cluster: str | None = None
) -> None:
    """Compare every packed image with its checksum, and with the files of `source`, if given.

    Processes are as of `pack_tree`. Raises FileNotFoundError if there are no packed clips; ValueError if one is not as
    it was.
    """
    packed, workers = Path(packed), process_count(workers, cluster)
    source = None if source is None else Path(source)
    with open_cluster(cluster, [packed, *([source] if source else [])]) as others:
        counts = map_packed_videos(verify, packed, source, workers, others, "are sound")
    images = counted(sum(counts), "image")
    log.info(f"verified {images} in {packed}: every byte as in {source or 'the files they were'}")


def unpack_tree(
    source: str | Path, target: str | Path, *, workers: int | None = None, cluster: str | None = None
) -> None:
    """Restore the files that were packed, byte for byte, to a folder that is made; workers as of `pack_tree`.

    Raises FileNotFoundError if there are no packed clips; ValueError if `target` lies in `source`, or if videos could
    not be unpacked.
    """
    source, target, workers = resolve(source, target, workers, cluster)
    if not any(source.glob(RECORD)):
        raise FileNotFoundError(f"{source / RECORD}: no such file; SRC must hold packed clips")
    with open_cluster(cluster, [source], target) as others:
        target.mkdir(parents=True, exist_ok=True)
        sizes = map_packed_videos(unpack, source, target, workers, others, "could be unpacked")
    copy_records(source, target)
    log.info(f"unpacked {counted(len(sizes), 'video')}, {size_in_words(sum(sizes))} written")


def resolve(source: str | Path, target: str | Path, workers: int | None, cluster: str | None) -> tuple[Path, Path, int]:
    """Return both folders and the number of processes; raises ValueError if the target lies in the source."""
    count, before, after = process_count(workers, cluster), Path(source), Path(target)
    if before.resolve() in (after.resolve(), *after.resolve().parents):
        raise ValueError(f"{after}: is SRC or lies in it; choose another DST")
    return before, after, count


def process_count(workers: int | None, cluster: str | None) -> int:
    """Return the number of processes, one per core for None; raises ValueError below 1, or beside a cluster."""
    refuse_workers("--workers", workers, cluster)
    if workers is not None and workers < 1:
        raise ValueError(f"--workers {workers}: must be at least 1")
    return workers or cores()


def map_packed_videos(
    function: Callable[..., Any], packed: Path, root: Path | None, workers: int, cluster: Cluster | None, done: str
) -> list[int]:
    """Return the count that `function` returns of every packed video.

    Raises FileNotFoundError if there is none; ValueError if one fails.
    """
    jobs = [Files(files, root) for files in packed_videos(packed)]
    if not jobs:
        raise FileNotFoundError(f"{packed}: holds no packed clips (*{SUFFIX})")
    outcomes = list(in_parallel(function, jobs, workers, cluster, lost_files))
    raise_failures([problem for _, problem in outcomes], done)
    return [count for count, _ in outcomes]


def copy_records(source: Path, target: Path) -> None:
    """Copy what the extraction recorded at the root; raises ValueError if another record is there."""
    for file in (source / name for name in (FRAMES_FILE, FLOW_FILE)):
        if file.is_file():
            copy, content = target / file.name, file.read_bytes()
            if copy.exists() and copy.read_bytes() != content:
                raise ValueError(f"{copy}: is unlike {file}; choose another DST")
            write_atomically(copy, lambda opened, content=content: opened.write(content))  # type: ignore[misc]


def raise_failures(problems: Sequence[str], done: str) -> None:
    """Name every problem, and raise ValueError if there is one."""
    bad = [problem for problem in problems if problem]
    for problem in bad:
        say(f"bad video: {' '.join(problem.split())}")
    if bad:
        rest = len(problems) - len(bad)
        raise ValueError(f"{len(bad)} of {counted(len(problems), 'video')} failed (named above); {rest} {done}")
