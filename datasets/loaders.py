"""Loaders of clips: batches of the videos of a subset."""

import logging
from functools import partial
from typing import Any

import torch
import torch.distributed as dist

from .clip_options import ClipOptions, make_dataset
from .loading.loader import ClipLoader
from .loading.online_flow import OnlineFlow, OnlineLoader
from .subset import Videos
from .video import ClipDataset, VideoDataset

log = logging.getLogger(__name__)


def make_loader(  # noqa: PLR0913 - what the options of loading say, by keyword
    videos: Videos,
    clips: ClipOptions | None = None,
    *,
    batch_size: int = 20,
    mode: str | None = None,
    flow: OnlineFlow | None = None,
    n_workers: int | str = "auto",
    loader: str = "auto",
    pin_memory: bool | None = None,
    max_bad: int = 0,
) -> ClipLoader:
    """Make the loader of the clips of a subset, uint8 (N, C, T, H, W) per stream.

    Args:
        videos: What is cut, see `open_videos`.
        clips: How clips are cut; None has the defaults.
        batch_size: Clips per batch, >= 1; every crop of a test counts.
        mode: As in `make_dataset`; "train" shuffles.
        flow: Computes the flow stream in place of its files.
        n_workers: Threads or processes that load; 0: the caller reads; "auto": one for each core.
        loader: "threads", "processes", or "auto", threads where reading lets them run side by side.
        pin_memory: Whether batches are for a GPU; None: if there is one.
        max_bad: Damaged videos that training leaves out before it stops.

    Raises:
        ValueError: As `make_dataset`, or if an argument is outside its limits.

    Examples:
        >>> clips = ClipOptions(length=16, size=112)
        >>> train = make_loader(open_videos("HMDB51_labels", "HMDB51"), clips)
        >>> test = make_loader(open_videos("HMDB51_labels", "HMDB51", subset="test"), clips, batch_size=16)
    """
    clips, mode = clips or ClipOptions(), mode or videos.subset
    if batch_size < 1 or max_bad < 0:
        raise ValueError(f"--batch_size must be >= 1, --max_bad >= 0, got {batch_size} and {max_bad}")
    if n_workers != "auto" and not str(n_workers).isdecimal():
        raise ValueError(f"--n_workers {n_workers}: is neither a number >= 0 nor auto")
    return load_clips(
        make_dataset(videos, clips, mode=mode, flow=flow),
        batch_size=batch_size,
        train=mode == "train",
        n_workers=n_workers,
        loader=loader,
        pin_memory=torch.cuda.is_available() if pin_memory is None else pin_memory,
        seed=clips.seed,
        max_bad=max_bad,
        decoder=videos.decoder,
        flow=flow,
    )


def load_clips(
    dataset: VideoDataset | ClipDataset,
    *,
    train: bool,
    loader: str,
    max_bad: int,
    decoder: str,
    flow: OnlineFlow | None,
    **options: Any,
) -> ClipLoader:
    """Load a data set of clips by the workers that suit its decoder, in the share of this process.

    Arguments are those of `make_loader` and, further `options`, of `ClipLoader`.
    """
    slow = decoder == "python" or (flow and not flow.device)  # threads would wait for each other
    batches = partial(OnlineLoader, flow=flow) if flow and flow.device else ClipLoader
    clip_loader = batches(
        dataset,
        train=train,
        loader="processes" if loader == "auto" and slow else loader,
        max_bad=max_bad if train else 0,
        rank=dist.get_rank() if dist.is_initialized() else 0,
        world=dist.get_world_size() if dist.is_initialized() else 1,
        **options,
    )
    if dropped := clip_loader.batches.dropped:
        log.info(
            "%s of %s training clips are left out of each epoch, other ones each time: they do not fill a batch",
            *(f"{dropped:,}", f"{clip_loader.batches.num_items:,}"),
        )
    return clip_loader
