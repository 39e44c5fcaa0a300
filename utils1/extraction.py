"""Videos to folders of frames and flow images: what the two extraction scripts share."""

import logging
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tqdm import tqdm

from datasets.provenance import claim

from .parallel import map_unordered
from .video_folder import Job, Recipe, extract_video, is_complete

VIDEOS = (".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm", ".wmv")

log = logging.getLogger(__name__)


def extract(source: Path, target: Path, classes: slice, recipe: Recipe, workers: int) -> None:
    """Extract `source/class/video.ext` to `target/class/video/` for the chosen class folders.

    Complete videos are skipped, damaged ones named on stderr while the others go on.

    Args:
        source: Folder of class folders.
        target: Made if missing; its provenance files must agree with `recipe`.
        classes: Slice of the sorted class folders.
        recipe: What to write.
        workers: Processes; 1 works in this one.

    Raises:
        FileNotFoundError: No `source`.
        ValueError: Nothing to extract, another recipe in `target`, or videos that could not be extracted.
        OSError: The disk is full or not writable; every folder that is there is complete.
    """
    videos = find_videos(source, classes)
    if source.resolve() in target.resolve().parents:
        raise ValueError(f"{target}: lies inside the video folder and would count as a class; choose another DST")
    target.mkdir(parents=True, exist_ok=True)
    for file_name, record in recipe.records().items():
        claim(target, file_name, record)
    jobs = [Job(video, target / video.parent.name / video.stem, recipe) for video in videos]
    todo = [job for job in jobs if not is_complete(job.folder, flow=bool(recipe.flow))]
    failed, images = watch(map_unordered(extract_video, todo, workers), len(todo), "flow" if recipe.flow else "rgb")
    made = ", ".join(f"{count} {stream}" for stream, count in images.items()) or "no images"
    complete = len(jobs) - len(todo)
    log.info(f"extracted {len(todo) - failed} videos ({made}), {complete} were already complete, {failed} failed")
    if failed:
        raise ValueError(f"{failed} of {len(jobs)} videos could not be extracted (named above); the rest are complete")


def watch(results: Iterable[tuple[dict[str, int], str]], total: int, stream: str) -> tuple[int, Counter[str]]:
    """Show progress and name bad videos; (number of bad videos, images written per stream)."""
    failed, images = 0, Counter[str]()
    with tqdm(total=total, unit="video", disable=None) as progress:
        for counts, problem in results:
            images.update(counts)
            if problem:
                failed += 1
                tqdm.write(f"bad video: {' '.join(problem.split())}", file=sys.stderr)
            rate = images[stream] / max(progress.format_dict["elapsed"], 1e-3)
            progress.set_postfix_str(f"{rate:.1f} {stream}/s", refresh=False)
            progress.update()
    return failed, images


def find_videos(source: Path, classes: slice) -> list[Path]:
    """Video files of the chosen class folders, sorted; no two of a class have the same name but for the ending."""
    if not source.is_dir():
        raise FileNotFoundError(f"{source}: no such folder; SRC must hold one folder of videos per class")
    folders = sorted(path for path in source.iterdir() if path.is_dir() and not path.name.startswith("."))
    chosen = folders[classes]
    if not chosen:
        raise ValueError(
            f"{source}: START END = {classes.start} {classes.stop} chooses none of its {len(folders)} class folders"
        )
    files = sorted(path for folder in chosen for path in folder.iterdir())
    videos = [p for p in files if p.suffix.lower() in VIDEOS and not p.name.startswith(".") and p.is_file()]
    if not videos:
        raise ValueError(
            f"{source}: the {len(chosen)} chosen class folders hold no video; one ends in {' '.join(VIDEOS)}"
        )
    if len(files) > len(videos):
        log.info("%s: %d files that are not videos are ignored", source, len(files) - len(videos))
    first: dict[Path, Path] = {}
    for video in videos:
        if (other := first.setdefault(video.with_suffix(""), video)) is not video:
            raise ValueError(f"{other}: and {video.name} would become the same folder; rename or remove one")
    return videos
