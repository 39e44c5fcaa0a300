"""The data sets by name. A new one is a file with a `list_videos` and a line here."""

from . import activitynet, diving48, hmdb51, jester, kinetics, lists, moments, something, ucf101
from .entries import ListVideos

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
    "List": lists.list_videos,
}

# Whose labels have a side ("Pushing something from left to right"): a mirrored clip would have another label.
SIDED = frozenset({"Something_v1", "Something_v2", "Jester"})
