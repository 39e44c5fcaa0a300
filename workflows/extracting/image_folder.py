"""Writing the frames of a video as JPEG files, and the flow between them."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import cv2
import numpy as np
from cv2.typing import MatLike
from numpy.typing import NDArray

from datasets.decoding.pixels import read_image
from datasets.stores.layouts import LAYOUTS

from .extraction_recipe import FLOW_QUALITY, Recipe
from .tasks import Tasks

RGB, FLOW_XY = LAYOUTS["sts"]["rgb"][0], LAYOUTS["sts"]["flow"]
BLOCK = 4096  # bytes: file systems hand out whole blocks, and most flow images are smaller than one

Grey = list[NDArray[np.uint8]]


class Solver(Protocol):
    """Flow of grey images (n, H, W) as grey levels (n, H, W, 2), for any thread."""

    def __call__(self, previous: NDArray[np.uint8], following: NDArray[np.uint8]) -> NDArray[np.uint8]: ...

    def pairs(self, height: int, width: int) -> int:
        """Return how many pairs of a size are best given at a time."""


@dataclass(frozen=True)
class ImageFolder:
    """Writer of the images of one video to an existing folder.

    `count` is told (stream, images, bytes on the disk) whenever some are written, from any thread.
    """

    folder: Path
    recipe: Recipe
    count: Callable[[str, int, int], Any]

    def write_all(self, frames: Iterable[MatLike], solver: Solver | None, tasks: Tasks) -> dict[str, int]:
        """Write frames 1..N, uint8 BGR (H, W, 3), and with a solver flow 1..N-1; return the images per stream.

        Flow begins when the last frame is there: a video that turns out damaged at its end costs none. `tasks` does
        everything but decoding; the files do not depend on it.
        """
        count, size = 0, (1, 1)
        for count, frame in enumerate(frames, 1):
            tasks.submit(self.write_frame, count, frame)
            size = frame.shape[0], frame.shape[1]
        if not solver:
            return {"rgb": count}
        tasks.finish()
        before = None
        for numbers in batches(count, solver.pairs(*size)):
            grey = tasks.submit(self.read_grey, numbers)
            tasks.submit(self.write_flow, max(numbers[0] - 1, 1), before, grey, solver)
            before = grey
        return {"rgb": count, "flow": count - 1}

    def write_frame(self, number: int, frame: MatLike) -> None:
        """Write the frame of a number."""
        size = write(self.folder / RGB.format(number), jpeg(frame, self.recipe.quality))
        self.count("rgb", 1, size)

    def read_grey(self, numbers: Sequence[int]) -> Grey:
        """Read frames as the flow's input: from the JPEG files, as the published tools do."""
        paths = [self.folder / RGB.format(number) for number in numbers]
        return [read_image(path, 1)[..., 0] for path in paths]

    def write_flow(self, first: int, before: "Future[Grey] | None", batch: "Future[Grey]", solver: Solver) -> None:
        """Write the flow, from number `first` on, that leads to each image of a batch from the one before."""
        images = np.stack((before.result()[-1:] if before else []) + batch.result())
        size = 0
        if len(images) > 1:
            for number, levels in enumerate(solver(images[:-1], images[1:]), first):
                for plane, pattern in zip(cv2.split(levels), FLOW_XY, strict=True):
                    size += write(self.folder / pattern.format(number), jpeg(plane, FLOW_QUALITY))
        self.count("flow", len(images) - 1, size)


def batches(count: int, pairs: int) -> Iterator[range]:
    """Split 1..count into runs of `pairs`; the first has one more, as many pairs with the run before as the others."""
    start = 1
    while start <= count:
        end = min(start + pairs + (start == 1), count + 1)
        yield range(start, end)
        start = end


def jpeg(image: MatLike, quality: int) -> memoryview:
    """Encode `image` as the content of a JPEG file."""
    encoded, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert encoded
    return cast(Any, data).data  # its memory, without a copy


def write(path: Path, data: bytes | memoryview) -> int:
    """Write a file, raising an OSError with its name; cv2.imwrite does not even raise on a full disk.

    Returns bytes that it takes on the disk.
    """
    try:
        # Half the time of Path.write_bytes, which is a twentieth of that of a small frame.
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o666)
        try:
            remaining = memoryview(data)
            while remaining:
                remaining = remaining[os.write(file, remaining) :]
        finally:
            os.close(file)
    except OSError as error:
        error.filename = str(path)
        raise
    return -(-len(data) // BLOCK) * BLOCK
