"""Conversion of stored flow to another bound or quantisation, and between JPEG pairs and .flo files."""

import logging
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from tqdm import tqdm

from datasets.stores.layouts import DONE, LAYOUTS
from datasets.stores.numbering import Plane, count_numbers, list_names, numbers_of
from datasets.stores.provenance import FLOW_FILE, FRAMES_FILE, claim
from flow.encoding import check_bound, convert, decode, encode
from flow.flo import read_flo, write_flo
from sts_common import cores, counted
from sts_common.cluster import Cluster
from sts_common.pool import map_unordered
from sts_common.workers import SharedCounters, Worker

from ..extracting.extraction_recipe import FLOW_QUALITY
from ..extracting.image_folder import jpeg, write
from ..extracting.machine import Machine
from ..extracting.progress import say
from ..extracting.video_folder import is_complete, made_whole
from .flow_files import FLOW_XY, Encoding, find_encoding, find_record, flow_files, flow_folders, read_flow, read_levels

RGB = LAYOUTS["sts"]["rgb"][0]
FLO = "{:05d}.flo"

AnyJob = TypeVar("AnyJob")
Result = TypeVar("Result")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """The folder of a video, its target, and the encodings before and after; .flo files have none."""

    folder: Path
    target: Path
    old: Encoding | None
    new: Encoding | None


def convert_video(job: Job, _: Worker) -> tuple[dict[str, int], str]:
    """Make the target folder of one video.

    Returns pictures per stream, "values" and how many of them were "lost" at a bound; and why it failed or "".
    """
    counts = Counter[str]()
    try:
        files = flow_files(job.folder)
        with made_whole(job.target) as part:
            for number, pair in enumerate(files, start=1):
                counts.update(convert_flow(pair, job, part, number), flow=1)
            counts["rgb"] = link_frames(job.folder, part)
            if counts["rgb"] not in (0, len(files) + 1):
                raise ValueError(f"{counts['rgb']} frames and {len(files)} flows, but N frames have N - 1 flows")
            streams = [stream for stream in ("rgb", "flow") if counts[stream]]
            write(part / DONE, "".join(f"{stream} {counts[stream]}\n" for stream in streams).encode())
    except (ValueError, FileNotFoundError) as error:
        return {}, str(error) if str(error).startswith(str(job.folder)) else f"{job.folder}: {error}"
    return counts, ""


def convert_flow(files: Sequence[Path], job: Job, part: Path, number: int) -> dict[str, int]:
    """Write flow `number` to the folder `part`; return counts of values and of those clipped at a bound."""
    if job.new is None:
        flow = read_flow(files, job.old)
        write_flo(part / FLO.format(number), flow)
        return {"values": flow.size, "lost": 0}
    if job.old is None:
        flow = read_flo(files[0])
        if np.isnan(flow).any():
            raise ValueError(f"{files[0]}: has unknown flow, which grey levels cannot say")
        levels, lost = encode(flow, *job.new), np.abs(flow) > job.new.bound
    else:
        old = read_levels(files)
        levels = convert(old, job.old.bound, job.new.bound, job.old.quantisation, job.new.quantisation)
        lost = np.abs(decode(old, *job.old)) > job.new.bound
        if job.new.bound > job.old.bound:
            lost = (old == 0) | (old == 255)
    for axis, pattern in enumerate(FLOW_XY):
        write(part / pattern.format(number), jpeg(levels[..., axis], FLOW_QUALITY))
    return {"values": levels.size, "lost": int(lost.sum())}


def link_frames(folder: Path, part: Path) -> int:
    """Hard-link the RGB frames, or copy them where the file system has no links; return their number."""
    count = count_numbers([Plane(folder, RGB)], [numbers_of(list_names(folder), RGB)])
    for name in (RGB.format(i) for i in range(1, count + 1)):
        try:
            (part / name).hardlink_to((folder / name).resolve())
        except OSError:
            shutil.copyfile(folder / name, part / name)
    return count


def in_parallel(
    function: Callable[[AnyJob, Worker], Result],
    jobs: Sequence[AnyJob],
    workers: int,
    cluster: Cluster | None = None,
    lost: Callable[[AnyJob, str], Result] | None = None,
) -> Iterator[Result]:
    """Yield results as `map_unordered` does, with a bar that counts videos; `workers` are processes of this machine."""
    counters = SharedCounters(len(jobs), Machine(cores=workers).processes(len(jobs)), workers)
    results = map_unordered(function, jobs, counters, cluster, lost)
    yield from tqdm(results, total=len(jobs), unit="video", disable=None)


def new_encoding(
    source: Path, old: Encoding | None, to: str, bound: float | None, quantisation: str | None
) -> Encoding | None:
    """Return the encoding after the conversion, None for .flo; what is not said is as before.

    Raises ValueError for options that do not go together, or say too little about `source`.
    """
    if to == "flo":
        if bound is not None or quantisation is not None:
            raise ValueError("--to flo: .flo files have no --bound and no --quant")
        return None
    if bound is None or quantisation is None:
        if old is None:
            raise ValueError(
                f"{source}: .flo files have no bound yet; give --bound and --quant, published: 20 truncate"
            )
        bound, quantisation = old.bound if bound is None else bound, quantisation or old.quantisation
    check_bound(bound)
    return Encoding(bound, quantisation)


def new_record(source: Path, old: Encoding | None, new: Encoding | None) -> dict[str, Any]:
    """Return the flow.json of the result."""
    record = find_record(source)
    about_images = ("bound", "quantisation", "quality", "converted_from")
    before = {"format": "jpg" if old else "flo"} | {key: record[key] for key in about_images if key in record}
    after = new._asdict() | {"quality": FLOW_QUALITY} if new else {}
    rest = {key: value for key, value in record.items() if key not in about_images}
    return rest | after | {"converted_from": before | (old._asdict() if old else {})}


def convert_tree(  # noqa: PLR0913  an interface of keywords
    source: str | Path,
    target: str | Path,
    *,
    to: str = "jpg",
    bound: float | None = None,
    quantisation: str | None = None,
    from_bound: float | None = None,
    from_quantisation: str | None = None,
    workers: int | None = None,
) -> None:
    """Convert the stored flow of every video that is not complete, as utils1/flow_convert.py does with its options.

    Raises FileNotFoundError if there is no flow; ValueError for arguments that do not go together or say too little,
    another conversion in `target`, or videos that could not be converted; the rest are complete.
    """
    source, target = Path(source), Path(target)
    folders, is_flo = flow_folders(source)
    if to == "flo" and is_flo:
        raise ValueError(f"--to flo: {source} holds .flo files already")
    given = from_bound, from_quantisation
    old = None if is_flo else find_encoding(source, *given, "--from_bound --from_quant")
    new = new_encoding(source, old, to, bound, quantisation)
    if source.resolve() in (target.resolve(), *target.resolve().parents):
        raise ValueError(f"{target}: is SRC or lies in it; choose another DST")
    target.mkdir(parents=True, exist_ok=True)
    claim(target, FLOW_FILE, new_record(source, old, new))
    if frames := find_record(source, FRAMES_FILE):
        claim(target, FRAMES_FILE, frames)
    base = source.parent if folders == [source] else source
    jobs = [Job(folder, target / folder.relative_to(base), old, new) for folder in folders]
    convert_all(jobs, cores() if workers is None else workers)


def convert_all(jobs: Sequence[Job], workers: int) -> None:
    """Convert videos that are not complete, and report what became of all; raises ValueError if some failed."""
    todo = [job for job in jobs if not is_complete(job.target, flow=True)]
    counts, failed = Counter[str](), 0
    for count, problem in in_parallel(convert_video, todo, workers):
        counts.update(count)
        if problem:
            failed += 1
            say(f"bad video: {' '.join(problem.split())}")
    complete = f"{len(jobs) - len(todo)} were already complete"
    log.info(f"converted {counted(len(todo) - failed, 'video')}, {complete}, {failed} failed")
    if counts["lost"]:
        share = 100 * counts["lost"] / counts["values"]
        old, new = jobs[0].old, jobs[0].new
        assert new
        at = f"already clipped at {old.bound:g}" if old and old.bound < new.bound else f"clipped at {new.bound:g}"
        log.warning(f"{counts['lost']} of {counts['values']} values ({share:.2g} %) are {at} pixels")
    if failed:
        wanted = counted(len(jobs), "video")
        raise ValueError(f"{failed} of {wanted} could not be converted (named above); the rest are complete")
