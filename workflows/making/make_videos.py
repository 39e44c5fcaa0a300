"""Make a data set of made-up videos, with their exact flow, and say the commands that follow."""

import logging
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from datasets.stores.provenance import FLOW_FILE, claim
from datasets.synthetic import LEVELS, ExactFlow, write_videos
from flow.flo import write_flo
from sts_common import counted
from sts_common.files import write_atomically

from ..shared.command_lines import command

FLO, HIDDEN = "{:05d}.flo", "{:05d}_hidden.png"
BOUND = 5  # pixels: these videos move less, and 20 would leave their motion a few grey levels

log = logging.getLogger(__name__)


def make_videos(  # noqa: PLR0913  an interface of keywords
    video_dir: str | Path,
    label_dir: str | Path,
    *,
    level: str = "standard",
    bias: float = 0.0,
    train_per_class: int = 40,
    test_per_class: int = 20,
    size: int | None = None,
    frames: int | None = None,
    seed: int = 0,
    exact_flow: str | Path | None = None,
) -> list[str]:
    """Write videos and label files, as utils1/make_videos.py does with its options, and return the next commands.

    `exact_flow` is a folder for `{class}/{video}/00001.flo`, ..., the flow from each frame to the next one, also of
    what the next one does not show, which is white in `00001_hidden.png`. Other arguments and errors are those of
    `write_videos`.
    """
    video_dir, label_dir = Path(video_dir), Path(label_dir)
    flow_dir = None if exact_flow is None else Path(exact_flow)

    def take_flow(video: str, exact: ExactFlow) -> None:
        assert flow_dir
        record = {"algorithm": "exact", "level": level, "seed": seed}
        flow_dir.mkdir(parents=True, exist_ok=True)
        claim(flow_dir, FLOW_FILE, record)
        write_exact_flow(flow_dir / video, exact)

    written = write_videos(
        video_dir,
        label_dir,
        level=level,
        bias=bias,
        train_per_class=train_per_class,
        test_per_class=test_per_class,
        size=size,
        frames=frames,
        seed=seed,
        take_flow=take_flow if flow_dir else None,
    )
    log.info("%s of %s in %s", counted(written, "video"), counted(len(LEVELS[level].classes), "class"), video_dir)
    return next_commands(video_dir, flow_dir, LEVELS[level].size if size is None else size)


def write_exact_flow(folder: Path, exact: ExactFlow) -> None:
    """Write the flow of a video, and which of it the next frame does not show."""
    for number, (flow, hidden) in enumerate(zip(exact.flow, exact.hidden, strict=True), start=1):
        write_flo(folder / FLO.format(number), flow)
        write_mask(folder / HIDDEN.format(number), hidden)


def write_mask(path: Path, mask: NDArray[np.bool_]) -> None:
    """Write a mask as a PNG, white where it is true."""
    picture = cv2.imencode(".png", 255 * mask.astype(np.uint8))[1].tobytes()
    write_atomically(path, lambda file: file.write(picture), durable=False)


def next_commands(video_dir: Path, flow_dir: Path | None, size: int) -> list[str]:
    """Return the commands that extract the videos and compare their TV-L1 flow with the exact one."""
    frame_dir = video_dir.with_name(f"{video_dir.name}_frames")
    options = ["--short_side", size, "--bound", BOUND]
    lines = [command("utils1/extract_frames_flows.py", [video_dir, frame_dir, *options])]
    if flow_dir:
        lines.append(command("utils1/flow_compare.py", [flow_dir, frame_dir]))
    return lines
