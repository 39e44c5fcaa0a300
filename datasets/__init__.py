"""Video datasets, read as {"rgb": ..., "flow": ..., "label": ...} samples of uint8 clips.

From the annotation to a batch: a list of entries (`listings`) is looked up in a store (`store`, `finding`), a sampler
chooses frames (`sampling`), a geometry what is seen of them (`crops`, `views`), and the store decodes that and no more.
A new dataset is one file with a `list_videos` plus one line in `DATASETS`.

Not the Hugging Face package of the same name: scripts put this folder first on the path, and installed it is
`sts_net.datasets` (README, "Import names").
"""

from .augment import AUGMENTS
from .builders import build_dataset, build_loader, class_names, num_listed
from .crops import TEST_CROPS
from .decoding.video import read_video
from .finding import MISSING
from .images import DECODERS
from .listings import DATASETS, SIDED
from .loader import LOADERS, ClipLoader
from .online import FLOW_SOURCES, OnlineFlow
from .random_crops import CROPS
from .recipe import CLIP_OPTIONS, build_recipe, check_data
from .sampling import SAMPLERS, TAILS, TEST_SAMPLERS, clip_starts, loop
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
