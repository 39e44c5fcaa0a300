"""Scoring a checkpoint again, as its training validated it and as the test scripts do."""

from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from torch import Tensor

from datasets import ClipDataset, ClipLoader, Video, VideoDataset, build_loader, num_listed
from datasets.fingerprint import describe_videos
from engine import Tally, score_videos, video_metrics
from engine.loop import evaluate
from models import Classify, Distill, StreamNetwork

from ..testing import Wanted, score_streams
from .system import System

LOSS_TOLERANCE = 1e-3  # relative: what kernels of other machines change


@dataclass(frozen=True)
class Measured:
    """What came out of a part, and of which videos.

    Attributes:
        metrics: Of "val" "acc" and "loss" of one clip per video; of "test" "top1", "top5" and "mean_class" of videos,
            and "clip_top1" and "clip_top5" of single clips.
        data: See `describe_videos`.
        clips: Scored.
        videos: Scored.
    """

    metrics: dict[str, float]
    data: dict[str, Any]
    clips: int
    videos: Sequence[Video]


@dataclass(frozen=True)
class Comparison:
    """A measured number beside the expected one.

    Attributes:
        part: "val" or "test".
        source: Who expects.
        expected: Some of the metrics.
        measured: All of them.
        tolerance: On accuracies.
    """

    part: str
    source: str
    expected: Mapping[str, float]
    measured: Measured
    tolerance: float

    @property
    def key(self) -> str:
        """The number that people compare."""
        return "acc" if self.part == "val" else "top1"

    @property
    def fine(self) -> str:
        """The number that shows the smallest differences."""
        return "loss" if "loss" in self.expected else self.key

    @property
    def exact(self) -> bool:
        """Whether the numbers are the same to the last bit."""
        return all(self.measured.metrics[name] == value for name, value in self.expected.items())

    @property
    def equal(self) -> bool:
        """Whether they are the same but for what other machines change."""
        return self.agrees(self.measured.metrics)

    def agrees(self, metrics: Mapping[str, float]) -> bool:
        """Whether some metrics are the expected ones.

        Where the losses agree one clip more or less may be right: it lay on the border.
        """
        allowed = self.tolerance
        if "loss" in self.expected:
            near = abs(metrics["loss"] - self.expected["loss"]) <= LOSS_TOLERANCE * abs(self.expected["loss"])
            if not near:  # nor if one is no number
                return False
            allowed = max(allowed, 1 / self.measured.data["videos"])
        return abs(metrics[self.key] - self.expected[self.key]) <= allowed + 1e-9


@dataclass(frozen=True)
class Change:
    """Something done otherwise.

    Attributes:
        options: In place of the system's.
        clips: Changes clips, uint8 (N, C, T, H, W).
        normalisation: In place of the checkpoint's.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    clips: Callable[[Tensor], Tensor] | None = None
    normalisation: Mapping[str, Sequence[float]] | None = None


def measure(system: System, part: str) -> Measured:
    """Score all videos of a part, "val" by the loop of the training, "test" as the test scripts do."""
    opt = system.options(part)
    if part == "val":
        loader = build_loader(opt, "val", [system.stream])
        assert isinstance(loader.dataset, VideoDataset)
        metrics = evaluate(task_of(system, system.model), loader, system.device, amp=opt.amp)
        # Without a held-out part it is the test list, which was said when it was built.
        listed = num_listed(opt, "val" if opt.val_fraction else "test")
        return Measured(metrics, describe_videos(loader.dataset, listed), len(loader.dataset), loader.dataset.videos)
    used, scores = score_streams(opt, [Wanted(name=system.stream.name, path=system.file, stream=system.stream)])
    assert scores.clip_top1 is not None
    assert scores.clip_top5 is not None
    clips = int(scores.clips.sum())
    metrics = video_metrics(scores.logits[0], scores.label)
    metrics |= {"clip_top1": int(scores.clip_top1.sum()) / clips, "clip_top5": int(scores.clip_top5.sum()) / clips}
    dataset = build_loader(used, "test", [system.stream]).dataset
    assert isinstance(dataset, ClipDataset)
    return Measured(metrics, describe_videos(dataset, scores.listed), clips, dataset.videos)


def measure_changed(system: System, part: str, change: Change, sample: int) -> dict[str, float]:
    """Metrics of evenly spread videos of a part, at most `sample` of them, with something done otherwise."""
    opt = Namespace(**vars(system.options(part)) | dict(change.options))
    model = StreamNetwork(system.model.network, system.stream, change.normalisation or system.model.normalisation)
    model = model.to(system.device).eval()
    if change.clips:
        name, alter = system.stream.name, change.clips
        model.register_forward_pre_hook(lambda module, args: ({**args[0], name: alter(args[0][name])},))
    loader = sampled(build_loader(opt, part, [system.stream]), sample)
    if part == "val":
        return evaluate(task_of(system, model), loader, system.device, amp=opt.amp)
    assert isinstance(loader.dataset, ClipDataset)
    tally = Tally(loader.dataset.clip_counts, 1, model.num_classes, system.device)
    scored = score_videos([model], loader, tally, device=system.device, amp=opt.amp)
    return video_metrics(scored.logits[0], label_of(loader.dataset))


def task_of(system: System, model: StreamNetwork) -> Classify | Distill:
    """What the training validated with: distillation weighs its cross-entropy, and needs no teacher for it."""
    if "loss_ce" in system.state.get("metrics", {}):
        return Distill(model, model, (), ce_weight=system.opt.ce_weight).to(system.device)
    return Classify(model).to(system.device)


def label_of(dataset: ClipDataset) -> Tensor:
    """Class indices of the videos."""
    return Tensor([video.label for video in dataset.videos]).long()


def sampled(loader: ClipLoader, most: int) -> ClipLoader:
    """Batches of at most so many videos, evenly spread over the list."""
    data = loader.dataset
    assert isinstance(data, VideoDataset | ClipDataset)
    if len(data.videos) <= most:
        return loader
    videos = [data.videos[i] for i in np.linspace(0, len(data.videos) - 1, most).round().astype(int)]
    if isinstance(data, ClipDataset):
        fewer = ClipDataset(videos, data.reader, data.crops, sample=data.sample, length=data.length)
        return replace(loader, dataset=fewer)
    return replace(
        loader, dataset=VideoDataset(videos, data.reader, sample=data.sample, length=data.length, seed=data.seed)
    )
