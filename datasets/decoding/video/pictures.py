"""Conversion of decoded frames to pictures: RGB, progressive and upright.

The rule for colours: brightness and colour differences become RGB by the matrix and the range that the file is tagged
with, BT.601 and limited range where it has no tag. HDR (a PQ or HLG transfer function) and BT.2020 primaries are then
converted to BT.709, as a player does on a common screen: absolute colours, highlights beyond its white are clipped. Any
other transfer function and primaries are left as they are. Interlaced frames keep the lines of the field that is shown
second; those between are interpolated along edges.
"""

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from .containers import load_av
from .sizes import check_size, resize

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

Picture = NDArray[np.uint8]  # RGB (H, W, 3)

BICUBIC = 4  # of swscale: chroma is interpolated as OpenCV does it
PQ, HLG, BT709, BT2020 = 16, 18, 1, 9  # numbers of ITU-T H.273, which also name the transfer of BT.709
RESERVED, DEFAULT_MATRIX = frozenset({3, *range(15, 256)}), 5
UNREADABLE = {  # matrices that swscale refuses
    8: "YCgCo",
    10: "BT.2020 with constant luminance",
    11: "Y'D'zD'x",
    12: "chromaticity-derived",
    13: "chromaticity-derived with constant luminance",
    14: "ICtCp",
}
# What swscale converts to RGB as to BGR. All else goes through BGR, as OpenCV reads it, so that frames are the same.
SAME_IN_BGR = frozenset(
    {"yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "gray", "rgb24", "bgr24", "gbrp"}
)
BLOCK_SIDE = 256  # side of what HDR is converted in: swscale takes seconds to prepare for a size, once in each thread

local = threading.local()


class Pictures:
    """Converter of the frames of one video to pictures, in OpenCV's order of channels with `bgr`.

    `size` is the width and height of all its frames before they are turned upright; zeros are for their own.
    """

    def __init__(self, path: str | Path, size: tuple[int, int] = (0, 0), bgr: bool = False) -> None:
        self.path, self.size, self.bgr, self.reformatter = path, size, bgr, new_reformatter()
        self.turns: bool | None = None  # whether the first frame is turned or mirrored

    def __call__(self, frame: "VideoFrame") -> Picture:
        """Convert a frame to RGB (H, W, 3), or BGR; raises ValueError if its size or its colours are refused."""
        check_size(frame.width, frame.height, self.path)
        # A look at the matrix takes as long as converting a small frame, so it is skipped where all are upright.
        turn = display_matrix(frame) if self.turns is not False or frame.rotation else None
        self.turns = turn is not None if self.turns is None else self.turns
        if frame.interlaced_frame:
            frame = deinterlace(frame)
        image = self.pixels(frame)
        image = np.asarray(resize(image, self.size), np.uint8) if all(self.size) else image
        return image if turn is None else np.ascontiguousarray(upright(image, turn))

    def pixels(self, frame: "VideoFrame") -> Picture:
        """Convert the pixels of a frame as they are stored, neither turned nor scaled."""
        matrix = DEFAULT_MATRIX if frame.colorspace in RESERVED else None
        wide = frame.color_trc in (PQ, HLG) or frame.color_primaries == BT2020
        bgr = self.bgr or frame.format.name not in SAME_IN_BGR
        form = "rgb48le" if wide else "bgr24" if bgr else "rgb24"
        options: dict[str, Any] = {"format": form, "src_colorspace": matrix}
        try:
            plain = self.reformatter.reformat(frame, interpolation=BICUBIC, threads=1, **options)
            if wide:
                image = to_bt709(plain.to_ndarray(), frame.color_trc, frame.color_primaries)
                return swap_channels(image) if self.bgr else image
        except (OSError, ValueError) as error:
            colours = f"{frame.format.name}, {UNREADABLE.get(frame.colorspace, f'matrix {frame.colorspace}')}"
            raise ValueError(
                f"{self.path}: its colours ({colours}) cannot be converted to RGB; convert the file to BT.709 first"
            ) from error
        image = plain.to_ndarray().astype(np.uint8, copy=False)
        return image if bgr == self.bgr else swap_channels(image)


def swap_channels(image: Picture) -> Picture:
    """Swap RGB and BGR."""
    return np.ascontiguousarray(image[..., ::-1])


def new_reformatter() -> Any:
    """Create a converter of pixel formats; it prepares once for all frames of a kind."""
    load_av()
    from av.video.reformatter import VideoReformatter

    return VideoReformatter()


def to_bt709(image: NDArray[np.uint16], transfer: int, primaries: int) -> Picture:
    """Convert nonlinear RGB (H, W, 3), 16 bit, of a transfer function and primaries to 8 bit in those of BT.709."""
    av, pixels = load_av(), image.reshape(-1, 3)
    if not hasattr(local, "reformatters"):
        local.reformatters = {}
    reformatter = local.reformatters.setdefault((transfer, primaries), new_reformatter())
    out = np.empty(pixels.shape, np.uint8)
    block = np.zeros((BLOCK_SIDE * BLOCK_SIDE, 3), np.uint16)
    for start in range(0, len(pixels), len(block)):
        part = pixels[start : start + len(block)]
        block[: len(part)] = part
        frame = av.VideoFrame.from_ndarray(block.reshape(BLOCK_SIDE, BLOCK_SIDE, 3), format="rgb48le")
        frame.color_trc, frame.color_primaries = transfer, primaries
        done = reformatter.reformat(
            frame, format="rgb24", dst_color_trc=BT709, dst_color_primaries=BT709, interpolation=BICUBIC, threads=1
        )
        out[start : start + len(part)] = done.to_ndarray().reshape(-1, 3)[: len(part)]
    return out.reshape(image.shape)


def deinterlace(frame: "VideoFrame") -> "VideoFrame":
    """Interpolate the first field of a frame from the second one, by nothing but the frame itself.

    Filters that look at neighbours are better on what stands still, but then a frame would depend on where decoding
    began.
    """
    graph = load_av().filter.Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base)
    deinterlace, sink = graph.add("estdif", "mode=frame:deint=all"), graph.add("buffersink")
    source.link_to(deinterlace)
    deinterlace.link_to(sink)
    graph.configure()
    graph.push(frame)
    graph.push(None)
    return graph.pull()


def display_matrix(frame: "VideoFrame") -> NDArray[np.int32] | None:
    """Return the rotation of a frame: [a, b, c, d] takes (x, y) to (ax + cy, bx + dy); None for as it is."""
    for data in cast(Any, frame.side_data):
        if data.type.name == "DISPLAYMATRIX":
            a, b, _, c, d = np.frombuffer(cast(Any, data), np.int32)[:5]
            return None if a > 0 and d > 0 and not b and not c else np.array([a, b, c, d])
    return None


def upright(image: Picture, matrix: NDArray[np.int32]) -> Picture:
    """Turn and mirror an image by a matrix, to the nearest quarter turn."""
    a, b, c, d = matrix.tolist()
    if abs(b) + abs(c) > abs(a) + abs(d):
        image, a, d = image.swapaxes(0, 1), c, b
    return image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
