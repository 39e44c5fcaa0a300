"""Video datasets, read as {"rgb": ..., "flow": ..., "label": ...} samples of uint8 clips.

From the annotation to a batch: a list of entries (`listings`) is looked up in a store (`store`, `finding`), a sampler
chooses frames (`sampling`), a geometry what is seen of them (`crops`, `views`), and the store decodes that and no more.
A new dataset is one file with a `list_videos` plus one line in `DATASETS`.

Not the Hugging Face package of the same name: scripts put this folder first on the path, and installed it is
`sts_net.datasets` (README, "Import names").
"""

from .builders import build_dataset, build_loader, class_names, num_listed
from .clips.augment import AUGMENTS
from .clips.crops import TEST_CROPS
from .clips.random_crops import CROPS
from .clips.sampling import SAMPLERS, TAILS, TEST_SAMPLERS, clip_starts, loop
from .corpora import DATASETS, SIDED
from .decoding.images import DECODERS
from .decoding.video.reading import read_video
from .loading.loader import LOADERS, ClipLoader
from .loading.online_flow import FLOW_SOURCES, OnlineFlow
from .records.clip_recipe import CLIP_OPTIONS, build_recipe, check_data
from .records.lookup import MISSING
from .stores.detect import STORES
from .streams import FLOW, MODALITIES, RGB, Stream
from .video import ClipDataset, Video, VideoDataset

__all__ = [
    "AUGMENTS",
    "CLIP_OPTIONS",
    "CROPS",
    "DATASETS",
    "DECODERS",
    "FLOW",
    "FLOW_SOURCES",
    "LOADERS",
    "MISSING",
    "MODALITIES",
    "RGB",
    "SAMPLERS",
    "SIDED",
    "STORES",
    "TAILS",
    "TEST_CROPS",
    "TEST_SAMPLERS",
    "ClipDataset",
    "ClipLoader",
    "OnlineFlow",
    "Stream",
    "Video",
    "VideoDataset",
    "build_dataset",
    "build_loader",
    "build_recipe",
    "check_data",
    "class_names",
    "clip_starts",
    "loop",
    "num_listed",
    "read_video",
]
