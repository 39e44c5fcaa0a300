"""Layouts: the names that the published tools give the frames of a video."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import NamedTuple

DONE = "done"  # written last by the extractors: the video is complete
N_FRAMES = "n_frames"  # the number of the last frame, by the 3D-ResNets tools
FPS = "fps"  # frames per second, by the same


class Pattern(NamedTuple):
    """File names of one image plane."""

    prefix: str  # before the number; {name} is the name of the video's folder
    digits: int = 5  # of the number at least, filled up with zeros
    folder: str = ""  # below the root, {name} as above; empty where the images lie in the video's folder
    suffix: str = ".jpg"  # after the number

    def format(self, number: int) -> str:
        return f"{self.prefix}{number:0{self.digits}d}{self.suffix}"


@dataclass(frozen=True)
class Layout:
    """Places of a tool's images of a video. Flow i leads from frame i to the next one."""

    images: Mapping[str, tuple[Pattern, ...]]  # patterns of each stream: frames in one, flow in two, x and y
    # Of a video below the root, the first that exists: {path} is the video as listed, {parent} and {name} are its
    # last two parts.
    folders: tuple[str, ...] = ("{path}",)
    # N frames may have N - lag flows; at the first of them no frame is without a flow, or with one too many.
    lags: tuple[int, ...] = (1,)
    first: int = 1  # number of the first file

    def __getitem__(self, stream: str) -> tuple[Pattern, ...]:
        """Return the patterns of a stream, none where the tool does not write it."""
        return self.images.get(stream, ())

    def places(self, path: str) -> list[str]:
        """Return where a listed video may lie below the root."""
        parts = PurePosixPath(path)
        return [place.format(path=path, parent=parts.parent.name, name=parts.name) for place in self.folders]


FLAT = ("{name}", "{path}")

PUBLISHED = {
    "sts": Layout({"rgb": (Pattern(""),), "flow": (Pattern("TVL1jpg_x_"), Pattern("TVL1jpg_y_"))}),
    # dense_flow leaves out the first frame, so that frame i of its files is the one that flow i leads to.
    "denseflow": Layout(
        {"rgb": (Pattern("img_"),), "flow": (Pattern("flow_x_"), Pattern("flow_y_"))}, folders=FLAT, lags=(0, 1)
    ),
    "denseflow-eval": Layout(
        {"rgb": (Pattern("image_", 4),), "flow": (Pattern("flow_x_", 4), Pattern("flow_y_", 4))}, lags=(0, 1)
    ),
    "ibm": Layout({"rgb": (Pattern(""),), "flow": (Pattern("", suffix="_x.jpg"), Pattern("", suffix="_y.jpg"))}),
    "resnet3d": Layout({"rgb": (Pattern("image_"),)}, folders=("{path}", "{name}")),
    "feicht": Layout(
        {
            "rgb": (Pattern("{name}_", 1),),
            "flow": (Pattern("frame", 6, "u/{name}"), Pattern("frame", 6, "v/{name}")),
        },
        folders=("{parent}/separated_images/{name}", "u/{name}"),
        lags=(0, 1),
    ),
}

ZERO = "-from-0"

# By the name that --layout knows. Later versions of some tools, and scripts around them, count files from 0.
LAYOUTS = PUBLISHED | {name + ZERO: replace(layout, first=0) for name, layout in PUBLISHED.items()}
