"""Check every video of a data set once, before training, and name every problem."""

import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path

from tqdm import tqdm

from datasets.corpora import list_dataset
from datasets.lists.entries import Entry
from datasets.records.manifest import write_manifest
from datasets.records.quarantine import update_quarantine
from datasets.stores.detect import ReadOptions, detect_layout, open_store
from datasets.stores.store import Store, inside
from datasets.streams import MODALITIES
from sts_common import cores, counted
from sts_common.cluster import Cluster, open_cluster, refuse_workers
from sts_common.files import write_text
from sts_common.pool import map_unordered
from sts_common.workers import SharedCounters

from .checks import Job, Problem, VideoCheck, check_video, files_of
from .findings import Report, as_json, as_table, count_used, sort_problems
from .lists_and_folders import SPLITS, Lists, check_content, check_folder, check_lists, read_lists

AUDIT = "audit.tsv"

PROBES = 64  # videos that show how they are stored, and which streams there are

UNUSABLE = {"missing", "outside", "count", "empty", "truncated", "undecodable", "size", "crash"}  # into quarantine

log = logging.getLogger(__name__)


def audit_videos(  # noqa: PLR0913  an interface of keywords
    frame_dir: str | Path,
    annotation_path: str | Path,
    *,
    dataset: str = "HMDB51",
    splits: Sequence[int] = SPLITS,
    modality: str = "auto",
    layout: str = "auto",
    video_fps: float | None = 25.0,
    sample_duration: int = 16,
    deep: bool = False,
    n_workers: int | None = None,
    quarantine: bool = False,
    json: str | Path = "",
    cluster: str | None = None,
) -> Report:
    """Check every video of a data set, as utils1/audit.py does, and keep what was seen in manifest.jsonl beside them.

    Args:
        frame_dir: Folder of the frames or videos.
        annotation_path: Folder of the annotation.
        dataset: A key of `DATASETS`.
        splits: Official splits.
        modality: A key of `MODALITIES`: streams that must be there; "auto" for those that some videos have.
        layout: A key of `STORES`, or "auto".
        video_fps: Frames per second that video files are read at; None takes each frame once.
        sample_duration: Frames per clip, below which a video is short.
        deep: Whether every frame is decoded.
        n_workers: Processes; None for one per core.
        quarantine: Whether unusable videos are listed in quarantine.tsv, so that training leaves them out.
        json: File for the whole report; without it the folder must be writable.
        cluster: Dask scheduler whose workers look at the videos, in place of this machine, see `open_cluster`.

    Returns:
        The report, whose `errors` are also in audit.tsv in the folder, if that is writable.

    Raises:
        FileNotFoundError: If a folder or all lists are absent.
        ValueError: If no video is listed, there is nowhere to write, or a cluster cannot do it.
    """
    refuse_workers("--n_workers", n_workers, cluster)
    root = Path(frame_dir)
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder; --frame_dir must hold the extracted frames or the videos")
    writable = os.access(root, os.W_OK)
    if not writable and not json:
        raise ValueError(f"{root}: not writable, so no manifest can be kept there; for the report alone give --json")
    lists = read_lists(partial(list_dataset, dataset), Path(annotation_path), splits)
    entries = lists.entries()
    if not entries:
        raise ValueError(lists.problems[0].text if lists.problems else f"{annotation_path}: lists no videos")
    layout, store = choose_store(root, entries, layout, video_fps)
    with open_cluster(cluster, [root]) as others:
        paths = [entry.path for entry in entries]
        checks = check_videos(store, paths, modality, deep=deep, n_workers=n_workers, cluster=others)
    problems = find_problems(dataset, store, lists, checks, sample_duration)
    used = count_used(lists, {check.path for check in checks if check.facts})
    looked_at = "every frame decoded" if deep else "three frames of each stream decoded; all with --deep"
    report = Report(dataset, str(root), layout, len(checks), used, problems, looked_at)
    if json:
        write_text(Path(json), as_json(report))
    if writable:
        write_records(root, checks, report)
        if quarantine:
            put_into_quarantine(root, checks, report)
    return report


def refuse_errors(report: Report, json: str | Path) -> None:
    """Raise ValueError if there are errors, naming the file with all of them."""
    if report.errors:
        where = Path(report.root) / AUDIT if os.access(report.root, os.W_OK) else json
        raise ValueError(f"{report.root}: errors found: {len(report.errors):,}; all are listed in {where}")


def choose_store(root: Path, entries: Sequence[Entry], layout: str, video_fps: float | None) -> tuple[str, Store]:
    """Return the storage layout, detected where it is "auto", and the videos."""
    if layout == "auto":
        sampled = entries[:: max(1, len(entries) // PROBES)]
        layout = detect_layout(root, [entry for entry in sampled if stays_inside(root, entry.path)] or sampled)
    return layout, open_store(layout, root, entries, ReadOptions(fps=video_fps))


def stays_inside(root: Path, path: str) -> bool:
    """Whether a listed video lies below the root; the others are problems later."""
    try:
        inside(root, path)
    except (OSError, ValueError):
        return False
    return True


def check_videos(
    store: Store, paths: Sequence[str], modality: str, *, deep: bool, n_workers: int | None, cluster: Cluster | None
) -> list[VideoCheck]:
    """Check every listed video, with a progress bar."""
    wanted = {stream.source for stream in MODALITIES.get(modality, ())}
    needs = wanted or streams_present(store, paths)
    jobs = [Job(store, path, frozenset(needs), deep) for path in paths]
    processes = max(1, min(n_workers or cores(), len(jobs)))
    where = cluster.described() if cluster else counted(processes, "process")
    log.info("looking at %s (%s) in %s", counted(len(jobs), "video"), ", ".join(sorted(needs)), where)
    counters = SharedCounters(len(jobs), 1, 1)
    checked = map_unordered(check_video, jobs, counters, cluster, crashed) if cluster else check_all(jobs, processes)
    progress = tqdm(checked, total=len(jobs), unit=" videos", disable=None)
    by_path = {check.path: check for check in progress}
    return [by_path[path] for path in paths]


def check_all(jobs: Sequence[Job], processes: int) -> Iterator[VideoCheck]:
    """Run the jobs; a video that crashes a process is found by checking the last ones alone."""
    remaining = {job.path: job for job in jobs}
    while remaining:
        try:
            for check in map_unordered(
                check_video, list(remaining.values()), SharedCounters(len(remaining), processes, processes)
            ):
                del remaining[check.path]
                yield check
        except ValueError as error:
            if not isinstance(error.__cause__, BrokenProcessPool):
                raise
            for job in list(remaining.values())[: 2 * processes]:
                del remaining[job.path]
                yield check_alone(job)


def check_alone(job: Job) -> VideoCheck:
    """Run one job in a process of its own."""
    try:
        return next(iter(map_unordered(check_video, [job], SharedCounters(1, 2, 1))))
    except ValueError as error:
        if not isinstance(error.__cause__, BrokenProcessPool):
            raise
        return crashed(job)


def crashed(job: Job, _reason: str = "") -> VideoCheck:
    """Return the result of a video by which processes die."""
    return VideoCheck(job.path, None, [Problem("crash", job.path, f"{job.path}: crashes the decoder")])


def streams_present(store: Store, paths: Sequence[str]) -> set[str]:
    """Return the streams that some videos have, "rgb" if none can be detected."""
    present = set()
    for path in paths[:: max(1, len(paths) // PROBES)]:
        for stream in store.streams:
            try:
                if store.counts(store.locate(path), {stream}).get(stream):
                    present.add(stream)
            except (OSError, ValueError):
                continue
    return present or {"rgb"}


def find_problems(
    dataset: str, store: Store, lists: Lists, checks: Sequence[VideoCheck], sample_duration: int
) -> list[Problem]:
    """Combine the problems of single videos with those of the lists and of the folder, sorted."""
    sound = {check.path: check.facts for check in checks if check.facts}
    problems = [*lists.problems, *(problem for check in checks for problem in check.problems)]
    problems += check_lists(lists, dataset)
    problems += check_content(lists, {path: facts.hash for path, facts in sound.items()})
    problems += check_folder(store.root, {place for check in checks for place in paths_of(store, check)})
    for path, facts in sound.items():
        frames = min(count for count in (facts.rgb, facts.flow) if count)
        if frames < sample_duration:
            text = f"{counted(frames, 'frame')}, fewer than a clip of {sample_duration}"
            problems.append(Problem("short", path, text))
    return sort_problems(problems)


def paths_of(store: Store, check: VideoCheck) -> list[Path]:
    """Return the folder or files of a video, present or not."""
    if check.facts:
        return files_of(store, store.root / (check.facts.folder or check.path))
    try:
        return files_of(store, store.locate(check.path))
    except (OSError, ValueError):
        return [store.root / check.path]


def write_records(root: Path, checks: Sequence[VideoCheck], report: Report) -> None:
    """Write the manifest and the table of problems."""
    path = write_manifest(root, report.layout, [check.facts for check in checks if check.facts])
    write_text(root / AUDIT, as_table(report))
    log.info("written: %s, %s", path, root / AUDIT)


def put_into_quarantine(root: Path, checks: Sequence[VideoCheck], report: Report) -> None:
    """List the unusable videos in the quarantine, and take out those that are sound now."""
    bad = {
        problem.path: f"{problem.kind}: {problem.text}"
        for problem in reversed(report.problems)
        if problem.kind in UNUSABLE
    }
    count = update_quarantine(root, bad, [check.path for check in checks])
    log.info("%s in quarantine", counted(count, "video"))
