"""Video datasets, read as {"rgb": ..., "flow": ..., "label": ...} samples of uint8 clips, each a view of one draw.

builders.py  from the options to batches, by what takes values:
opening.py   open_videos: which videos of an annotation.py there are, a subset.py;  streams.py  STREAMS and their views
clip_options.py  ClipOptions: how they are cut into clips, a video.py of them;  loaders.py  make_loader
corpora/     DATASETS: from annotation files to a list of entries, a data set a file;  lists/  forms of annotation files
stores/      forms in which videos are stored, each a `Store`;  decoding/  their pixels
clips/       SAMPLERS, CROPS: frames that are chosen, their part that is seen, augmentation
loading/     batches by threads or processes;  records/  recipes, manifests, quarantine
synthetic/   LEVELS, write_videos: made-up videos

Not the Hugging Face package of the same name: scripts put this folder first on the path, and installed it is
`sts_net.datasets`.
"""

from .annotation import Annotation
from .builders import build_annotation, build_clips, build_dataset, build_loader, build_recipe, check_data
from .clip_options import ClipOptions, make_dataset
from .clips.augment import AUGMENTS
from .clips.crops import TEST_CROPS
from .clips.random_crops import CROPS
from .clips.sampling import SAMPLERS, TAILS, TEST_SAMPLERS, clip_starts, loop
from .corpora import DATASETS, SIDED
from .decoding.images import DECODERS
from .decoding.video.reading import read_video
from .loaders import make_loader
from .loading.loader import LOADERS, ClipLoader
from .loading.online_flow import FLOW_SOURCES, OnlineFlow
from .opening import open_videos
from .records.clip_recipe import check_videos, make_recipe
from .records.lookup import MISSING
from .stores.detect import STORES
from .streams import (
    FLOW,
    MODALITIES,
    RGB,
    RGB_DIFF,
    SINGLE_STREAMS,
    STREAMS,
    ClipView,
    Stream,
    modality_of,
    parse_view,
    views_of,
)
from .subset import Videos
from .video import ClipDataset, Video, VideoDataset

__all__ = [
    "AUGMENTS",
    "CROPS",
    "DATASETS",
    "DECODERS",
    "FLOW",
    "FLOW_SOURCES",
    "LOADERS",
    "MISSING",
    "MODALITIES",
    "RGB",
    "RGB_DIFF",
    "SAMPLERS",
    "SIDED",
    "SINGLE_STREAMS",
    "STORES",
    "STREAMS",
    "TAILS",
    "TEST_CROPS",
    "TEST_SAMPLERS",
    "Annotation",
    "ClipDataset",
    "ClipLoader",
    "ClipOptions",
    "ClipView",
    "OnlineFlow",
    "Stream",
    "Video",
    "VideoDataset",
    "Videos",
    "build_annotation",
    "build_clips",
    "build_dataset",
    "build_loader",
    "build_recipe",
    "check_data",
    "check_videos",
    "clip_starts",
    "loop",
    "make_dataset",
    "make_loader",
    "make_recipe",
    "modality_of",
    "open_videos",
    "parse_view",
    "read_video",
    "views_of",
]
