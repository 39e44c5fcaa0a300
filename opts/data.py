"""Options of the data: where they lie, what a clip is, how it is loaded."""

import argparse

from datasets import AUGMENTS, CROPS, DATASETS, DECODERS, FLOW_SOURCES, LOADERS, MISSING, MODALITIES, SAMPLERS, STORES
from datasets.stores.provenance import frame_rate

from .option import DISTILL, TRAINING, OptionTable


def add_data_options(table: OptionTable) -> None:
    """Add options of the data and their storage."""
    add = table.group("data", "data")
    add(
        "--dataset",
        default="HMDB51",
        choices=DATASETS,
        help="data set, whose annotation files are read; tests: else as trained",
    )
    add(
        "--frame_dir",
        role="machine",
        default="dataset/HMDB51/",
        help="folder of the extracted frames, or of the videos; tests: else as trained, if it is there",
    )
    add(
        "--annotation_path",
        role="machine",
        default="dataset/HMDB51_labels",
        help="folder of the official label files, or one list; tests: else as trained, if it is there",
    )
    add("--split", default=1, choices=(1, 2, 3), help="official split; tests: else as trained")
    add("--modality", default="RGB", choices=MODALITIES, help="streams to read; tests: else as trained")
    add("--only_RGB", action="store_true", help="flow is not on disk, or not wanted: frames alone count")
    add(
        "--layout",
        role="machine",
        default="auto",
        choices=("auto", *STORES),
        metavar="LAYOUT",
        help="what is in --frame_dir: auto looks; video, for video files; pack; or the tool that named the frames",
    )
    add("--missing", default="error", choices=MISSING, help="what is done about a video that cannot be used")
    add(
        "--max_bad",
        role="machine",
        scripts=TRAINING,
        default=0,
        help="damaged videos that training leaves out before it stops",
    )
    add(
        "--val_fraction",
        default=0.1,
        help="fraction of the training videos held out for validation; 0: the test list, as published",
    )
    add(
        "--flow_source",
        scripts=(DISTILL,),
        default="files",
        choices=FLOW_SOURCES,
        help="'online' computes flow from the frames",
    )
    add(
        "--allow_flow_mismatch",
        role="machine",
        action="store_true",
        help="use flow that differs from what a checkpoint saw",
    )


def add_clip_options(table: OptionTable) -> None:
    """Add options of the clips: their frames, crops and augmentation."""
    add = table.group("clips", "clip")
    add("--sample_size", default=112, help="side of the input, pixels")
    add("--sample_duration", default=16, help="frames per clip")
    add("--video_fps", default=25.0, type=frame_rate, help="frames per second that video files are read at, or source")
    add("--clip_stride", default=1, help="steps from one frame of a clip to the next")
    add("--segment_length", default=1, help="consecutive frames of each segment of a clip that is sampled by segments")
    add("--sampling", default="corrected", choices=("corrected", "compat"), help="compat: with the published slips")
    add(
        "--train_sampling",
        scripts=TRAINING,
        default="random",
        choices=SAMPLERS,
        help="frames of a training clip; segments is TSN",
    )
    add(
        "--val_sampling",
        scripts=TRAINING,
        default="center",
        choices=SAMPLERS,
        help="of a validation clip ('random' as published)",
    )
    add("--short_side", type=int, help="validation, tests: frames are resized to this, then cropped; else to the crop")


def add_augment_options(table: OptionTable) -> None:
    """Add options of the crops and the augmentation of training clips."""
    add = table.group("augmentation", "clip", TRAINING)
    add(
        "--crop",
        default="corners",
        choices=CROPS,
        help="training: corners (STS-Net), fixed (TSN), resized, short_side; center draws nothing",
    )
    add("--crop_scales", type=float, nargs="+", help="of --crop: sides over the short side, or the ends of a range")
    add(
        "--flip",
        default="auto",
        choices=("auto", "always", "never"),
        help="mirror half of the training clips; auto: unless labels tell left from right",
    )
    add("--no_flip", dest="flip", action="store_const", const="never", help="the same as --flip never")
    add(
        "--augment",
        default=[],
        nargs="*",
        choices=AUGMENTS,
        help="further augmentation of training clips, in this order",
    )
    add(
        "--color_jitter",
        default=[0.4, 0.4, 0.4, 0.0],
        nargs=4,
        help="brightness, contrast, saturation, hue (which is slow), of RGB",
    )
    add("--grayscale", default=0.2, help="probability")
    add("--randaugment", default=[2, 9], nargs=2, help="operations per clip, and their strength of 30")
    add("--erasing", default=0.25, help="probability")


def add_loading_options(table: OptionTable) -> None:
    """Add options of the loader."""
    add = table.group("loading", "machine")
    add("--batch_size", role="run", default=20, help="videos per training batch (tests: see --clips_per_batch)")
    add("--n_workers", default="auto", type=workers, help="threads or processes that load; 0: none; auto: a core each")
    add("--loader", default="auto", choices=LOADERS, help="auto: threads with the native decoder, else processes")
    add(
        "--decode",
        role="clip",
        scripts=TRAINING,
        default="exact",
        choices=("exact", "fast"),
        help="fast: training decodes at half size if it hardly shows",
    )
    add("--decoder", default="auto", choices=DECODERS, help="auto: native where it can be built, see utils1/doctor.py")
    add("--cache", default="none", help="keep decoded frames: none, ram, or a folder")


def workers(text: str) -> int | str:
    """Parse a number of workers, or "auto"."""
    if text != "auto" and not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number >= 0 nor auto")
    return text if text == "auto" else int(text)
