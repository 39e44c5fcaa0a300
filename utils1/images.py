"""The frames of a video as JPEG files, and the flow between them."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from cv2.typing import MatLike
from numpy.typing import NDArray

from datasets.layouts import LAYOUTS

from .recipe import FLOW_QUALITY, Recipe
from .threads import Tasks

RGB, FLOW_XY = LAYOUTS["sts"]["rgb"][0], LAYOUTS["sts"]["flow"]
BLOCK = 4096  # bytes: file systems hand out whole blocks, and most flow images are smaller than one

Grey = list[NDArray[np.uint8]]


class Solver(Protocol):
    """Flow of grey images (n, H, W) as grey levels (n, H, W, 2), for any thread."""

    pixels: int  # in a batch of pairs, about

    def __call__(self, previous: NDArray[np.uint8], following: NDArray[np.uint8]) -> NDArray[np.uint8]: ...


@dataclass(frozen=True)
class ImageFolder:
    """Writes the images of one video.

    Attributes:
        folder: Existing.
        recipe: How they are made.
        count: Told (stream, images, bytes on the disk) whenever some are written, from any thread.
    """

    folder: Path
    recipe: Recipe
    count: Callable[[str, int, int], Any]

    def write_all(self, frames: Iterable[MatLike], solver: Solver | None, tasks: Tasks) -> dict[str, int]:
        """Write frames 1..N and, if there is a solver, flow 1..N-1.

        Args:
            frames: uint8 RGB (H, W, 3) of one size.
            solver: Of the recipe's flow.
            tasks: Does everything but decoding; the files do not depend on it.

        Returns:
            Images per stream.
        """
        number, before = 0, None
        for batch in batches(frames, solver.pixels if solver else 1):
            grey = tasks.submit(self.write_frames, number + 1, batch)
            if solver:
                tasks.submit(self.write_flow, max(number, 1), before, grey, solver)
            number, before = number + len(batch), grey
        return {"rgb": number} | ({"flow": number - 1} if solver else {})

    def write_frames(self, first: int, frames: list[MatLike]) -> Grey:
        """Write frames from number `first` on; what flow is computed from."""
        grey: Grey = []
        size = 0
        for number, frame in enumerate(frames, first):
            data = jpeg(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), self.recipe.quality)
            size += write(self.folder / RGB.format(number), data)
            if self.recipe.flow:
                # The published tools computed flow from the files.
                image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
                assert image is not None
                grey.append(image.astype(np.uint8, copy=False))
        self.count("rgb", len(frames), size)
        return grey

    def write_flow(self, first: int, before: "Future[Grey] | None", batch: "Future[Grey]", solver: Solver) -> None:
        """Write the flow, from number `first` on, that leads to each image of a batch from the one before."""
        images = np.stack((before.result()[-1:] if before else []) + batch.result())
        size = 0
        if len(images) > 1:
            for number, levels in enumerate(solver(images[:-1], images[1:]), first):
                for plane, pattern in zip(cv2.split(levels), FLOW_XY, strict=True):
                    size += write(self.folder / pattern.format(number), jpeg(plane, FLOW_QUALITY))
        self.count("flow", len(images) - 1, size)


def batches(frames: Iterable[MatLike], pixels: int) -> Iterator[list[MatLike]]:
    """Frames in lists of `pixels` pixels or a little more; the first has one frame more, as many pairs as the others.

    The last one may be shorter.
    """
    batch: list[MatLike] = []
    extra = 1
    for frame in frames:
        batch.append(frame)
        if (len(batch) - extra) * frame.shape[0] * frame.shape[1] >= pixels:
            yield batch
            batch, extra = [], 0
    if batch:
        yield batch


def jpeg(image: MatLike, quality: int) -> bytes:
    """`image` as the content of a JPEG file."""
    encoded, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert encoded
    return data.tobytes()


def write(path: Path, data: bytes) -> int:
    """Write a file, raising an OSError with its name; cv2.imwrite does not even raise on a full disk.

    Returns:
        Bytes that it takes on the disk.
    """
    try:
        path.write_bytes(data)
    except OSError as error:
        error.filename = str(path)
        raise
    return -(-len(data) // BLOCK) * BLOCK
