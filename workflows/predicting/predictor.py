"""Networks that score the clips of a video while it is decoded, and their predictions."""

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from datasets import ClipOptions, parse_view
from datasets.clip_options import choose_test_sampler
from datasets.decoding.video.outline import outline
from datasets.decoding.video.rates import mean_rate
from engine.device.precision import round_float32
from engine.evaluation.metrics import check_scores
from models import fuse

from .timeline import Named, Timeline, best
from .video_streams import (
    Picture,
    Sample,
    add_flow,
    batched,
    count_samples,
    crop_samples,
    flow_of,
    frames_of,
    leading_streams,
    single_frame_error,
)
from .windows import SpreadClips, Windows, one_ahead

SPREAD = 10  # clips of a video whose frames are spread over it; the default of --num_clips


@dataclass(frozen=True)
class Predictor:
    """Networks whose logits are fused."""

    networks: Sequence[Any]  # of S streams, in eval mode
    names: Sequence[str]  # of the K classes
    recipe: dict[str, Any]  # how their clips are made, as in a checkpoint
    # Frames from one of a clip to the next; None where the frames of a clip are spread over a whole video.
    stride: int | None
    fusion: str  # one of `FUSIONS`
    weights: Sequence[float] | None  # of the streams; None for equal ones
    device: torch.device  # where the networks are
    clips: int = 1  # of a file that are scored at a time; a GPU is always given as many, the last ones repeated
    # Threads that share the work of a CPU; None for a GPU, which is given all clips at once.
    pool: ThreadPoolExecutor | None = None
    about: Sequence[dict[str, Any]] = ()  # what is known of each checkpoint, as plain values
    amp: str = "off"  # as `--amp`

    @property
    def views(self) -> list[str]:
        """Names of the views that are read."""
        read = (getattr(network, "views", None) or [network.view] for network in self.networks)  # several if exported
        return list(dict.fromkeys(view for views in read for view in views))

    @property
    def reads_flow(self) -> bool:
        """Whether flow is computed for them."""
        return any(parse_view(view).stream.is_flow for view in self.views)

    @property
    def span(self) -> int:
        """Number of frames from the first to the last of a clip, and one more where something leads to it."""
        return (self.recipe["sample_duration"] - 1) * (self.stride or 1) + 1 + bool(leading_streams(self.views))

    def logits(self, clips: Sequence[dict[str, Tensor]]) -> Tensor:
        """Compute logits (S, N, K), float32 on the CPU, of N clips: uint8 (C, T, H, W) by view.

        Raises ValueError if some are no numbers.
        """
        round_float32(self.device, self.amp)
        if self.pool is None:
            full = [*clips] + [clips[-1]] * (self.clips - len(clips))  # for another shape cuDNN would choose anew
            scores = self.score(self.networks, full)[:, : len(clips)]
        else:
            work = [([network], [clip]) for network in self.networks for clip in clips]
            parts = torch.cat(list(self.pool.map(self.score, *zip(*work, strict=True))))
            scores = parts.view(len(self.networks), len(clips), -1)
        for known, stream_scores in zip(self.about, scores, strict=False):
            check_scores(stream_scores, f"{known['file']}: a clip")
        return scores

    @torch.inference_mode()
    def score(self, networks: Sequence[nn.Module], clips: Sequence[dict[str, Tensor]]) -> Tensor:
        """Compute logits (S, N, K) of some networks; a GPU is waited for once, when all of them have their work."""
        place = getattr(networks[0], "clips_on", self.device)
        batch = {name: torch.stack([clip[name] for clip in clips]).to(place) for name in clips[0]}
        return torch.stack([network(batch).logits.float() for network in networks]).cpu()

    def probabilities(self, logits: Tensor) -> Tensor:
        """Compute probabilities (N, K) of the classes by logits (S, N, K)."""
        fused = fuse(logits, self.fusion, self.weights)
        return fused if self.fusion == "softmax" else fused.softmax(-1)

    def windows(self, images: Iterable[Sample], step: int | None = None) -> Windows:
        """Return the clips of the frames and flow of a video, `step` frames from one to the next."""
        tail = "drop" if self.recipe.get("sampling") == "compat" else "overlap"
        return Windows(self.cropped(images), self.recipe["sample_duration"], self.stride or 1, step, tail)

    def cropped(self, images: Iterable[Sample]) -> Iterable[Sample]:
        """Crop the frames and flow of a video to what the networks see."""
        return crop_samples(images, self.recipe["sample_size"], self.views, self.recipe.get("short_side"))

    def clips_of(self, path: Path, step: int | None = None) -> Windows | SpreadClips:
        """Return the clips of a video, `step` frames apart: those of a test with its default options."""
        provenance = self.recipe["provenance"]
        images = frames_of(path, provenance, self.reads_flow, self.device)
        if self.stride is not None:
            return self.windows(images, step)
        sample = choose_test_sampler(ClipOptions.from_recipe(self.recipe, num_clips=SPREAD))
        frames = count_samples(path, provenance, self.views)
        clips = sample(frames, self.recipe["sample_duration"]) if frames else []
        return SpreadClips(self.cropped(images), clips, frames)

    def newest(self, source: Path) -> Callable[[list[Picture]], Tensor]:
        """Return a function from a clip's frames to probabilities (K,); fewer frames than `span` are looped."""
        solver = flow_of(self.recipe["provenance"], self.device) if self.reads_flow else None

        def probabilities(frames: list[Picture]) -> Tensor:
            clips = [window.clip for window in self.windows(add_flow(iter(frames), solver))]
            if not clips:
                raise single_frame_error(source, self.views)
            return self.probabilities(self.logits(clips[-1:]))[0]

        return probabilities

    def close(self) -> None:
        """End the threads; no clip can be scored any more."""
        if self.pool is not None:
            self.pool.shutdown()

    def warm_up(self) -> None:
        """Score black clips once, so that compiled code is ready."""
        size, length = self.recipe["sample_size"], self.recipe["sample_duration"]
        views = {name: parse_view(name) for name in self.views}
        shapes = {name: (v.stream.channels, length, *(v.side or size,) * 2) for name, v in views.items()}
        self.logits([{name: torch.zeros(shape, dtype=torch.uint8) for name, shape in shapes.items()}] * self.clips)


def share_cores(tasks: int) -> ThreadPoolExecutor:
    """Create threads for simultaneous tasks, each with its part of torch's own threads.

    A layer that is spread over the cores ends with the slowest of them: on two cores that other work used too, two
    networks one after the other took four times as long as side by side (benchmarks/predict.py).
    """
    cores = torch.get_num_threads()
    count = min(tasks, cores)
    return ThreadPoolExecutor(count, "network", torch.set_num_threads, (cores // count,))


@dataclass(frozen=True)
class Prediction:
    """Prediction for a video."""

    path: Path  # where it is
    logits: Tensor  # mean over its clips, (S, K)
    probabilities: Tensor  # of the classes, (K,)
    timeline: Timeline  # over its course
    seconds: float  # that it took

    def top(self, count: int = 5) -> list[Named]:
        """Return the likeliest classes of the whole video as (name, probability), best first."""
        return best(self.probabilities, self.timeline.names, count)

    @property
    def by_class(self) -> dict[str, float]:
        """Probabilities of the whole video by class name, best first."""
        return dict(self.top(len(self.timeline.names)))


def predict_video(predictor: Predictor, path: str | Path, step: int | None = None) -> Prediction:
    """Score a video while it is decoded; memory does not depend on its length.

    Args:
        predictor: Scores clips.
        path: A file or a folder of frames.
        step: Frames from clip to clip; None for those of a clip.

    Raises:
        FileNotFoundError: If it is missing.
        ValueError: If it is damaged.
    """
    began, provenance, path = time.perf_counter(), predictor.recipe["provenance"], Path(path)
    windows = predictor.clips_of(path, step)
    timeline = Timeline(predictor.names, rate_of(path, provenance), windows.span)
    total, scored = torch.zeros(len(predictor.networks), 1, len(predictor.names), dtype=torch.float64), 0
    with tqdm(desc=path.name, unit=" frames", disable=None, leave=False) as bar:
        for batch in one_ahead(batched(windows, predictor.clips)):
            logits = predictor.logits([window.clip for window in batch])
            total += logits.double().sum(1, keepdim=True)
            scored += len(batch)
            for window, probabilities in zip(batch, predictor.probabilities(logits), strict=True):
                if predictor.stride is not None:
                    timeline.add(window.start, probabilities)
            bar.update(windows.frames - bar.n)
    if not scored:
        raise single_frame_error(path, predictor.views)
    timeline.frames = windows.frames
    mean = (total / scored).float()
    if predictor.stride is None:  # each clip is of the whole video, so there is one answer in its course
        timeline.add(0, predictor.probabilities(mean)[0])
    return Prediction(path, mean[:, 0], predictor.probabilities(mean)[0], timeline, time.perf_counter() - began)


def rate_of(path: Path, provenance: dict[str, Any]) -> float:
    """Return the frames per second at which a video is read."""
    fps = provenance.get("fps", 25.0)
    if fps is None and path.is_file():
        return mean_rate(outline(path))
    return 25.0 if fps is None else float(fps)
