"""Features of all videos of a subset under the network of a checkpoint, computed once and kept in a file."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from datasets import ClipLoader
from engine import ScoreAccumulator, is_main, score_videos
from engine.evaluation.metrics import check_scores
from engine.evaluation.retrieval import VideoFeatures, load_features
from models import Output, StreamNetwork

from ..testing.scoring import prepared, scored_videos

ELSEWHERE = ("frame_dir", "annotation_path")  # the same videos may lie there
FEATURES = "features"  # the name of the network in `VideoFeatures.about`


class FeatureReader(nn.Module):
    """A network that gives the mean of one of its features over time and space as logits, (N, C)."""

    def __init__(self, network: nn.Module, feature: str) -> None:
        super().__init__()
        self.network, self.feature = network, feature

    def forward(self, batch: Mapping[str, Tensor]) -> Output:
        feature = self.network(batch).features[self.feature]
        return Output(feature.flatten(2).mean(2) if feature.dim() > 2 else feature, {})


@dataclass(frozen=True)
class FeatureSource:
    """A network, and the videos that it is to describe.

    Attributes:
        network: Of one checkpoint.
        feature: Of it, in `feature_channels`.
        open_test: For a subset, "train" or "test", the loader of every clip of its videos, their class names, and
            what is known of both, as `Scores.about`.
        device: To compute on.
        amp: A key of `AMP`.

    Raises:
        ValueError: If the network has no such feature.
    """

    network: StreamNetwork
    feature: str
    open_test: Callable[[str], tuple[ClipLoader, list[str], dict[str, Any]]]
    device: torch.device
    amp: str = "off"

    def __post_init__(self) -> None:
        if self.feature not in self.network.network.feature_channels:
            known = ", ".join(self.network.network.feature_channels)
            raise ValueError(f"--feature {self.feature}: choose among {known}")

    def read(self, subset: str, path: Path) -> VideoFeatures:
        """Return the features of a subset from their file, or else compute and write them.

        Raises:
            ValueError: If the file holds those of another network, of other videos or of other clips.
        """
        loader, class_names, about = self.open_test(subset)
        about = about | {"feature": self.feature}
        if path.is_file():
            stored = load_features(path)
            if other := differing(stored.about, about):
                raise ValueError(f"{path}: features of another {other}: choose other --features, or delete it")
            return stored
        videos, _ = scored_videos(loader)
        label = torch.tensor([video.label for video in videos])
        names = [video.name for video in videos]
        computed = VideoFeatures(names, label, class_names, self.compute(loader), about)
        if is_main():
            computed.save(path)
        return computed

    def compute(self, loader: ClipLoader) -> Tensor:
        """Compute the mean features over the clips of each video, (N, C); raises ValueError if one is not finite."""
        videos, counts = scored_videos(loader)
        channels = self.network.network.feature_channels[self.feature]
        accumulator = ScoreAccumulator(counts, 1, channels, self.device)
        reader = FeatureReader(prepared(self.network.to(self.device).eval(), self.device, amp=self.amp), self.feature)
        features = score_videos([reader], loader, accumulator, device=self.device, amp=self.amp).logits[0]
        for video, row in zip(videos, features, strict=True):
            check_scores(row, f"{self.network.source}: {video.name}")
        return features


def differing(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """Return in which respect two descriptions of features differ, where features would; "" if in none."""
    try:
        for respect, value in {
            "checkpoint": lambda about: about["checkpoints"][FEATURES]["sha256"],
            "stage (--feature)": lambda about: about["feature"],
            "list of videos": lambda about: (about["subset"], about["list_sha256"]),
        }.items():
            if value(stored) != value(wanted):
                return respect
        there, here = stored["options"], wanted["options"]
        unlike = [name for name, value in here.items() if name not in ELSEWHERE and there.get(name) != value]
    except (KeyError, TypeError, AttributeError):
        return "kind"
    return f"--{unlike[0]}" if unlike else ""
