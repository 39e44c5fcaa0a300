"""Scoring of a checkpoint, as its training validated it and as the test scripts do."""

import logging
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from datasets import ClipDataset, Video, VideoDataset, build_loader
from datasets.records.fingerprint import describe_videos
from engine import video_metrics
from engine.training.loop import evaluate
from models import Classify, Distill

from ..testing.evaluation import StreamSpec, score_streams
from .subject import System

log = logging.getLogger(__name__)

LOSS_TOLERANCE = 1e-3  # relative: what kernels of other machines change


@dataclass(frozen=True)
class Measurement:
    """Metrics of a part, and its videos."""

    # Of "val" "acc" and "loss" of one clip per video; of "test" "top1", "top5" and "mean_class" of videos, and
    # "clip_top1" and "clip_top5" of single clips.
    metrics: dict[str, float]
    data: dict[str, Any]  # see `describe_videos`
    clips: int  # scored
    videos: Sequence[Video]  # scored


@dataclass(frozen=True)
class Comparison:
    """A measured number beside the expected one."""

    part: str  # "val" or "test"
    source: str  # who expects
    expected: Mapping[str, float]  # some of the metrics
    measured: Measurement  # all of them
    tolerance: float  # on accuracies

    @property
    def key(self) -> str:
        """The headline metric."""
        return "acc" if self.part == "val" else "top1"

    @property
    def fine(self) -> str:
        """The metric that shows the smallest differences."""
        return "loss" if "loss" in self.expected else self.key

    @property
    def exact(self) -> bool:
        """Whether all expected numbers came out, which accuracies may for other pixels, too."""
        return all(self.measured.metrics[name] == value for name, value in self.expected.items())

    @property
    def same_pixels(self) -> bool:
        """Whether the loss came out, which other pixels would have changed."""
        return self.exact and "loss" in self.expected

    @property
    def equal(self) -> bool:
        """Whether they are the same within the tolerance for other machines.

        Where the losses agree one clip more or less may be right: it lay on the border.
        """
        allowed, metrics = self.tolerance, self.measured.metrics
        if "loss" in self.expected:
            near = abs(metrics["loss"] - self.expected["loss"]) <= LOSS_TOLERANCE * abs(self.expected["loss"])
            if not near:  # nor if one is no number
                return False
            allowed = max(allowed, 1 / self.measured.data["videos"])
        return abs(metrics[self.key] - self.expected[self.key]) <= allowed + 1e-9

    def as_plain(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {
            "part": self.part,
            "source": self.source,
            "equal": self.equal,
            "exact": self.exact,
            "expected": dict(self.expected),
            "measured": self.measured.metrics,
            "data": self.measured.data,
        }


def measure(system: System, part: str) -> Measurement:
    """Score all videos of a part, "val" by the loop of the training, "test" as the test scripts do; writes nothing.

    Where frames count that have a flow, which the network does not read, it need not be stored: N frames have N - 1.
    """
    score = score_validation if part == "val" else score_test
    try:
        return score(system)
    except FileNotFoundError:
        if system.stream.is_flow:
            raise
    measured = score(system, flow_source="online")  # raises again if more is missing
    where = system.options(part).frame_dir
    log.info("%s: no flow is stored; as where it is, all frames count but the last one of a video", where)
    return measured


def score_validation(system: System, **changes: str) -> Measurement:
    """Score one clip of every validation video, with changes of the options."""
    opt = Namespace(**vars(system.opt) | changes)
    loader = build_loader(opt, "val", [system.stream])
    assert isinstance(loader.dataset, VideoDataset)
    metrics = evaluate(task_of(system), loader, system.device, amp=opt.amp)
    return Measurement(metrics, describe_videos(loader.dataset), len(loader.dataset), loader.dataset.videos)


def score_test(system: System, **changes: str) -> Measurement:
    """Score all clips of every test video, with changes of the options."""
    opt = Namespace(**vars(system.test_opt) | {"log": 0, "scores_path": ""} | changes)
    used, scores = score_streams(opt, [StreamSpec(name=system.stream.name, path=system.file, stream=system.stream)])
    assert scores.clip_top1 is not None
    assert scores.clip_top5 is not None
    clips = int(scores.clips.sum())
    metrics = video_metrics(scores.logits[0], scores.label)
    metrics |= {"clip_top1": int(scores.clip_top1.sum()) / clips, "clip_top5": int(scores.clip_top5.sum()) / clips}
    dataset = build_loader(used, "test", [system.stream]).dataset
    assert isinstance(dataset, ClipDataset)
    return Measurement(metrics, describe_videos(dataset), clips, dataset.videos)


def task_of(system: System) -> Classify | Distill:
    """Build the task of the validation: distillation weighs its cross-entropy, and needs no teacher for it."""
    if "loss_ce" in system.state.get("metrics", {}):
        return Distill(system.model, system.model, (), ce_weight=system.opt.ce_weight).to(system.device)
    return Classify(system.model).to(system.device)
