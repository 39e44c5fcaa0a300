"""Lists of videos in use, compared with those of the checkpoint."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from datasets import Annotation
from datasets.annotation import hold_out
from datasets.lists.entries import Entry
from datasets.records.fingerprint import list_sha256
from datasets.records.quarantine import read_quarantine
from sts_common import counted

from .measure import Comparison
from .subject import System

SPLITS = (1, 2, 3)


def about_lists(system: System, comparison: Comparison) -> Iterator[tuple[str, str, str]]:
    """Yield name, verdict and evidence of the causes that lie in the list."""
    here, there = comparison.measured.data, system.stated(comparison.part)
    used = f"{here['videos']:,} of {counted(here['listed'], 'listed video')} used"
    if there:
        used += f" here, {there['videos']:,} of {there['listed']:,} in the checkpoint"
    if held := len(read_quarantine(Path(system.options(comparison.part).frame_dir))):
        used += f"; {held:,} of all videos here are in quarantine"
    same = bool(there) and there["sha256"] == here["sha256"]
    missing = here["videos"] < here["listed"]
    verdict = "no" if same or not missing else "likely" if there else "possible"
    yield "missing or quarantined videos", verdict, used
    if same:
        yield "another list, split or other labels", "no", "the list has the sha256 that the checkpoint states"
        return
    yield "another list, split or other labels", *other_list(system, comparison, there)


def other_list(system: System, comparison: Comparison, there: Mapping[str, Any]) -> tuple[str, str]:
    """Return verdict and evidence, once the list is not known to be the same."""
    opt = system.options(comparison.part)
    known = lists_here(Path(opt.annotation_path), opt.dataset, opt.val_fraction)
    if there:
        where = [name for name, digest in known.items() if digest == there["sha256"]]
        kind = "test" if comparison.part == "test" or not opt.val_fraction else "held-out"
        if any(name.endswith(f"of split {opt.split}") and kind in name for name in where):
            return "no", f"the checkpoint's is the whole list of split {opt.split}, which is used"
        if where:
            return "likely", f"the checkpoint's is {', '.join(where)} here; used was split {opt.split}"
        digests = f"sha256 {comparison.measured.data['sha256'][:12]} here, {there['sha256'][:12]} in the checkpoint"
        whole = comparison.measured.data["videos"] == comparison.measured.data["listed"]
        return ("likely" if whole else "possible"), f"{digests}, and no list here has that one"
    trained = system.state.get("data", {}).get("train", {}).get("sha256")
    where = [name for name, digest in known.items() if digest == trained]
    if where and not any(name.endswith(f"of split {opt.split}") for name in where):
        return "likely", f"it was trained on {', '.join(where)}; used was split {opt.split}"
    if where:
        return "no", f"it was trained on {', '.join(where)}, and tested on split {opt.split}"
    return "not known", "the checkpoint does not state which videos the number is of"


def lists_here(annotation_path: Path, dataset: str, val_fraction: float) -> dict[str, str]:
    """Return the SHA-256 of every list of every split of a data set that is here, by its name."""
    digests: dict[str, str] = {}
    for split in SPLITS:
        try:
            annotation = Annotation(annotation_path, dataset=dataset, split=split)
            lists = {name: annotation.read(name).entries for name in ("train", "test")}
        except (FileNotFoundError, ValueError):
            continue  # an annotation need not have all splits
        digests |= {
            f"the {name} part of split {split}": list_sha256(e) for name, e in parts(lists, val_fraction).items()
        }
    return digests


def parts(lists: Mapping[str, Sequence[Entry]], val_fraction: float) -> dict[str, Sequence[Entry]]:
    """Return the lists of a split, and the parts into which `--val_fraction` divides its training list."""
    if not 0 < val_fraction < 1:
        return dict(lists)
    train, held_out = hold_out(lists["train"], val_fraction)
    return {**lists, "training": train, "held-out": held_out or train}
