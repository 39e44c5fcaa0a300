"""Files of made-up videos: their names, label files in HMDB51's form, and AVI."""

from collections.abc import Mapping
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from sts_common.files import write_atomically

SPLITS = (1, 2, 3)
CLIPS_PER_SOURCE = 2
FPS = 25
UNUSED, TRAIN, TEST = 0, 1, 2

Tags = Mapping[int, tuple[int, ...]]  # source -> UNUSED, TRAIN or TEST in each of the splits


def video_name(class_name: str, source: int, n: int) -> str:
    """Return a name in HMDB51's pattern: source, class, full body, moving camera, one person, front, medium, number."""
    return f"clip{source:03d}_{class_name}_f_cm_np1_fr_med_{n}.avi"


def shared_splits(sources: range, test_sources: int) -> dict[int, tuple[int, ...]]:
    """Return which of the sources are for the test in each split, and all others for training.

    The three runs of test sources start a third of the sources apart: they differ from three sources on, and
    share no video where they are short enough.
    """
    count = len(sources)
    starts = [(split - 1) * count // len(SPLITS) for split in SPLITS]
    return {
        source: tuple(TEST if (i - start) % count < test_sources else TRAIN for start in starts)
        for i, source in enumerate(sources)
    }


def write_labels(label_dir: Path, class_name: str, sources: range, test_sources: int) -> None:
    """Write one class's three label files, by `shared_splits`."""
    write_tags(label_dir, class_name, shared_splits(sources, test_sources))


def write_tags(label_dir: Path, class_name: str, tags: Tags) -> None:
    """Write one class's three label files, lines `{video} {0 unused | 1 train | 2 test} `."""
    label_dir.mkdir(parents=True, exist_ok=True)
    for i, split in enumerate(SPLITS):
        lines = [
            f"{video_name(class_name, source, n)} {tag[i]} \n"  # HMDB51's own lines end in a blank
            for source, tag in tags.items()
            for n in range(CLIPS_PER_SOURCE)
        ]
        (label_dir / f"{class_name}_test_split{split}.txt").write_text("".join(lines), "utf-8")


def write_avi(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write BGR frames, shape (T, H, W, 3), as Motion JPEG, which every OpenCV build can read and write."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = pixels.shape[1:3]
    fourcc = cv2.VideoWriter.fourcc(*"MJPG")
    writer = cv2.VideoWriter(str(path), cv2.CAP_OPENCV_MJPEG, fourcc, float(FPS), (width, height))
    if not writer.isOpened():
        raise OSError(f"cannot write {path}")
    writer.set(cv2.VIDEOWRITER_PROP_QUALITY, 98)
    for frame in pixels:
        writer.write(frame)
    writer.release()


def write_mpeg4(path: Path, pixels: NDArray[np.uint8], quantiser: int) -> None:
    """Write BGR frames, shape (T, H, W, 3), as MPEG-4 (XviD's kind, as HMDB51), whole or not at all.

    `quantiser` is the coarseness of its coefficients, in [1, 31]. The bytes are the same for one version of PyAV.
    """

    def encode(file: object) -> None:
        with av.open(file, "w", format="avi", options={"fflags": "+bitexact"}) as container:
            stream = container.add_stream("mpeg4", rate=FPS)
            stream.height, stream.width = pixels.shape[1:3]
            stream.pix_fmt = "yuv420p"
            context = stream.codec_context
            context.thread_count = 1
            context.flags |= av.codec.context.Flags.bitexact
            context.qmin = context.qmax = quantiser
            for frame in pixels:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="bgr24")))
            container.mux(stream.encode())

    write_atomically(path, encode, durable=False)
