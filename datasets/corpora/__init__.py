"""Registry of the data sets by name. A new one is a file with a `list_videos` and a line here."""

from pathlib import Path

from ..lists import any_list
from ..lists.entries import Listing, ListVideos
from . import activitynet, diving48, hmdb51, jester, kinetics, moments, something, ucf101

DATASETS: dict[str, ListVideos] = {
    "HMDB51": hmdb51.list_videos,
    "UCF101": ucf101.list_videos,
    "Kinetics": kinetics.list_videos,
    "Kinetics400": kinetics.list_videos,
    "Kinetics600": kinetics.list_videos,
    "Kinetics700": kinetics.list_videos,
    "Mini_Kinetics": kinetics.list_videos,
    "Something_v1": something.list_v1,
    "Something_v2": something.list_videos,
    "Jester": jester.list_videos,
    "Moments": moments.list_videos,
    "ActivityNet": activitynet.list_videos,
    "Diving48": diving48.list_videos,
    "JSON": activitynet.list_videos,
    "List": any_list.list_videos,
}

# Whose labels have a side ("Pushing something from left to right"): a mirrored clip would have another label.
SIDED = frozenset({"Something_v1", "Something_v2", "Jester"})

# Names of files that no other data set has, by which a folder of labels is known; the most general ones come last.
SIGNS = {
    "HMDB51": ("*_test_split?.txt",),
    "UCF101": ("trainlist0?.txt", "testlist0?.txt", "classInd.txt"),
    "Kinetics400": ("kinetics?400_*.csv",),
    "Kinetics600": ("kinetics?600_*.csv",),
    "Kinetics700": ("kinetics?700*.csv",),
    "Kinetics": ("Kinetics_*_labels.txt",),
    "Something_v1": ("something-something-v1-*.csv",),
    "Something_v2": ("something-something-v2-*.json",),
    "Jester": ("jester-v1-*.csv",),
    "Moments": ("moments_categories.txt",),
    "ActivityNet": ("activity_net*.json",),
    "Diving48": ("Diving48_*.json",),
    "JSON": ("*.json",),
    "List": ("videos.csv", "train.txt", "train.csv"),
}


def list_dataset(name: str, annotation_path: Path, split: int, subset: str) -> Listing:
    """List the videos of one of `DATASETS`, by the folder of its label files or one list, as `ListVideos`.

    Raises FileNotFoundError if a file is missing, or the files are those of another data set, which is named;
    ValueError if a line is malformed.
    """
    try:
        return DATASETS[name](annotation_path, split, subset)
    except (FileNotFoundError, ValueError) as error:
        actual = find_actual_name(name, annotation_path)
        if actual is None:
            raise
        is_folder = annotation_path.is_dir()
        reason = f"holds files of {actual}" if is_folder else f"is one file, but {name} has a folder of them"
        raise FileNotFoundError(f"{annotation_path}: {reason}: use --dataset {actual}") from error


def find_actual_name(name: str, annotation_path: Path) -> str | None:
    """Name the data set that label files are of, if they are not of the one that is called `name`."""
    if annotation_path.is_file():
        kind = "JSON" if annotation_path.suffix.lower() == ".json" else "List"
        return None if name in ("List", "JSON", "ActivityNet") else kind
    candidates = [key for key, patterns in SIGNS.items() if any(any(annotation_path.glob(p)) for p in patterns)]
    matches = (key == name or (key != "JSON" and DATASETS[key] is DATASETS[name]) for key in candidates)
    return None if not candidates or any(matches) else candidates[0]
