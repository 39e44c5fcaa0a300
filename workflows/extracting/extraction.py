"""Extraction of videos to folders of frames and flow images, for both extraction scripts."""

import logging
import os
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from datasets.lists.annotations import VIDEOS
from datasets.lists.class_folders import find_tree, refuse_clashes
from datasets.stores.provenance import claim
from sts_common import counted, size_in_words
from sts_common.cluster import Cluster, ask, open_cluster
from sts_common.pool import map_unordered
from sts_common.workers import SharedCounters

from .devices import choose_backend, device_context
from .estimate import estimate, uneven
from .extraction_recipe import Recipe
from .machine import CPU, Machine, machine_part
from .progress import Progress, Totals
from .video_folder import Job, extract_video, is_complete, lost_video

log = logging.getLogger(__name__)


def extract_videos(  # noqa: PLR0913  an interface of keywords
    source: str | Path,
    target: str | Path,
    recipe: Recipe | None = None,
    *,
    classes: slice = slice(None),
    gpus: tuple[int, ...] | None = None,
    workers: int | None = None,
    shard: tuple[int, int] = (0, 1),
    estimate_only: bool = False,
    cluster: str | None = None,
) -> None:
    """Extract frames, and flow if the recipe has one, as the extraction scripts do.

    Args:
        source: Folder with one folder of videos per class.
        target: Where the class/video folders are written; made if missing.
        recipe: What to write; None for frames alone, as by default. Backend "auto" of its flow is the best one here.
        classes: Slice of the sorted class folders.
        gpus: Numbers, () for none, None for all; where torch sees no GPU they are not looked at.
        workers: Cores to use, >= 1; None for all, in equal parts under torchrun.
        shard: (i, n): the videos i, i + n, i + 2n, ... of the sorted list; 0 <= i < n.
        estimate_only: Whether the cost is printed and nothing written.
        cluster: Dask scheduler whose workers extract, in place of this machine, see `open_cluster`; `workers` are then
            the cores of each of them, 1 for None.

    Raises:
        FileNotFoundError: No `source`.
        ValueError: Nothing to extract, no such GPU, another recipe in `target`, videos that could not be extracted, or
            a cluster that cannot do it.
        OSError: The disk is full or not writable; every folder that is there is complete.

    Example:
        >>> extract_videos("my_videos", "frames", Recipe(short_side=128, flow=FlowRecipe(bound=15.0)))
    """
    source, target, recipe, devices = Path(source), Path(target), recipe or Recipe(), [CPU]
    if estimate_only and cluster:
        raise ValueError(f"--cluster {cluster}: --estimate measures this machine; give one of both")
    with open_cluster(cluster, [source], target) as others:
        if recipe.flow:
            backend, devices = ask(others, choose_backend, recipe.flow.name, recipe.flow.backend, gpus)
            recipe = replace(recipe, flow=replace(recipe.flow, backend=backend))
        machine = machine_part(os.environ, 1 if others and workers is None else workers, shard, devices)
        # This process builds a solver too, for its description; beside a cluster it may have no GPU.
        with nullcontext() if others else device_context(machine.devices[0]):
            if estimate_only:
                preview(source, target, classes, recipe, machine)
            else:
                extract(source, target, classes, recipe, machine, others)


def extract(
    source: Path, target: Path, classes: slice, recipe: Recipe, machine: Machine, cluster: Cluster | None = None
) -> None:
    """Extract `source/class/video.ext` to `target/class/video/`, at any depth, for the chosen class folders.

    Complete videos are skipped, damaged ones named on stderr while the others go on. `machine` works on its share of
    them, or each worker of `cluster` with its cores and devices. Raises as `extract_videos`.
    """
    if source.resolve() == target.resolve():
        raise ValueError(f"{target}: holds the videos: use another output folder")
    jobs = list_jobs(source, target, classes, recipe, machine)
    records = ask(cluster, Recipe.records, recipe)
    target.mkdir(parents=True, exist_ok=True)
    for file_name, record in records.items():
        claim(target, file_name, record)
    todo = [job for job in jobs if not is_complete(job.folder, flow=bool(recipe.flow))]
    complete = len(jobs) - len(todo)
    if todo:
        log.info("%s", announcement(todo, complete, recipe, cluster or machine))
        for line in uneven(todo):
            log.warning("%s", line)
    totals = Totals(len(todo), sum(job.size for job in todo), "pairs" if recipe.flow else "frames")
    counters = SharedCounters(len(todo), machine.processes(len(todo)), machine.cores)
    with Progress(totals, counters, target) as progress:
        for outcome in map_unordered(extract_video, todo, counters, cluster, lost_video):
            progress.add(outcome)
    images = ", ".join(f"{count} {stream}" for stream, count in totals.images.items()) or "no images"
    log.info(
        f"extracted {counted(len(todo) - totals.failed, 'video')} ({images}), {complete} were already complete, "
        f"{totals.failed} failed{totals.summary()}"
    )
    if totals.failed:
        raise ValueError(
            f"{totals.failed} of {len(jobs)} videos could not be extracted (named above); the rest are complete"
        )


def preview(source: Path, target: Path, classes: slice, recipe: Recipe, machine: Machine) -> None:
    """Print the estimated cost of `extract`, from a sample of incomplete videos; writes nothing to `target`.

    Arguments and errors are those of `extract`.
    """
    jobs = list_jobs(source, target, classes, recipe, machine)
    recipe.records()  # a solver that cannot be built is no fault of the videos
    todo = [job for job in jobs if not is_complete(job.folder, flow=bool(recipe.flow))]
    log.info(f"{len(jobs) - len(todo)} of {counted(len(jobs), 'video')} already complete")
    if todo:
        log.info(estimate(todo, machine))
        for line in uneven(todo):
            log.warning("%s", line)


def list_jobs(source: Path, target: Path, classes: slice, recipe: Recipe, machine: Machine) -> list[Job]:
    """List the videos of this machine's share, complete or not."""
    if source.resolve() in target.resolve().parents:
        raise ValueError(f"{target}: lies inside the video folder and would count as a class; choose another DST")
    videos = find_videos(source, classes)
    return [
        Job(video, video.stat().st_size, target / video.relative_to(source).with_suffix(""), recipe, machine.devices)
        for video in machine.share(videos)
    ]


def announcement(todo: list[Job], complete: int, recipe: Recipe, workers: Machine | Cluster) -> str:
    """Describe the work that begins, and the devices for it."""
    size = size_in_words(sum(job.size for job in todo))
    flow = f", {recipe.flow.name} flow ({recipe.flow.backend})" if recipe.flow else ""
    devices = todo[0].devices
    gpus = "" if devices == (CPU,) else f", GPUs: {', '.join(devices)}"
    where = f"CPU cores: {workers.cores}" if isinstance(workers, Machine) else workers.described()
    started = f"extracting {counted(len(todo), 'video')} ({size}), {complete} are complete"
    return f"{started}{flow}; {where}{gpus}"


def find_videos(source: Path, classes: slice) -> list[Path]:
    """Find the video files of the chosen class folders, sorted; skipped ones are reported.

    Where there are no class folders, as in Something-Something, all videos are in one. Raises FileNotFoundError without
    `source`; ValueError for no video, or two that would become the same folder.
    """
    tree = find_tree(source)
    chosen = set(tree.folders[classes])
    if not chosen:
        start, end = classes.start, classes.stop
        raise ValueError(f"{source}: START END = {start} {end} chooses none of its {len(tree.folders)} class folders")
    videos = [video for video in tree.videos if video.folder in chosen and video.suffix]
    if not videos:
        raise ValueError(f"{source}: holds folders of frames alone; a video ends in {' '.join(VIDEOS)}")
    refuse_clashes(source, videos)
    for line in tree.search.lines():
        log.warning("%s", line)
    return sorted(source / f"{video.path}{video.suffix}" for video in videos)
