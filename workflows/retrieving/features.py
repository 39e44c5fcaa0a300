"""Features of all videos of a subset under the network of a checkpoint, computed once and kept in a file."""

from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from datasets import ClipDataset, ClipLoader, build_annotation, build_loader
from datasets.records.clip_recipe import images_made
from engine import ScoreAccumulator, is_main, score_videos, setup
from engine.evaluation.metrics import check_scores
from engine.evaluation.retrieval import VideoFeatures, load_features
from models import Output, StreamNetwork
from models.analysis.similarity import pooled
from models.backbones import arch_of
from opts import DATA_FOLDERS, RECORDED, as_trained

from ..shared.score_facts import state_checkpoint, state_scored
from ..testing.evaluation import StreamSpec, load_networks, load_specs, modality_for
from ..testing.inputs import load_input
from ..testing.scoring import prepared, scored_videos

FEATURES = "features"  # the name of the network in `VideoFeatures.about`


class FeatureReader(nn.Module):
    """A network that gives the mean of one of its features over time and space as logits, (N, C)."""

    def __init__(self, network: nn.Module, feature: str) -> None:
        super().__init__()
        self.network, self.feature = network, feature

    def forward(self, batch: Mapping[str, Tensor]) -> Output:
        return Output(pooled(self.network(batch).features[self.feature]), {})


@dataclass(frozen=True)
class FeatureSource:
    """A network, and the videos that it is to describe; raises ValueError if the network has no such feature."""

    network: StreamNetwork
    feature: str  # of it, in `feature_channels`
    # For a subset, "train" or "test", the loader of every clip of its videos, their class names, and what is known of
    # both, as `Scores.about`.
    open_test: Callable[[str], tuple[ClipLoader, list[str], dict[str, Any]]]
    device: torch.device
    amp: str = "off"  # a key of `AMP`

    def __post_init__(self) -> None:
        if self.feature not in self.network.network.feature_channels:
            known = ", ".join(self.network.network.feature_channels)
            raise ValueError(f"--feature {self.feature}: choose among {known}")

    def read(self, subset: str, path: Path) -> VideoFeatures:
        """Return the features of a subset from their file, or else compute and write them.

        Raises ValueError if the file holds those of another network, of other videos or of other clips.
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

    def respects(about: Mapping[str, Any]) -> dict[str, Any]:
        names = (name for name in wanted["options"] if name not in DATA_FOLDERS)  # the same videos may lie elsewhere
        options = {f"--{name}": about["options"].get(name) for name in names}
        return {
            "checkpoint": about["checkpoints"][FEATURES]["sha256"],
            "stage (--feature)": about["feature"],
            "list of videos": (about["subset"], about["list_sha256"]),
            **options,
        }

    try:
        there = respects(stored)
    except (KeyError, TypeError, AttributeError):
        return "kind"
    return next((respect for respect, value in respects(wanted).items() if there[respect] != value), "")


def build_feature_source(opt: Namespace, feature: str) -> tuple[Namespace, FeatureSource]:
    """Build the source of a feature of the network of `--resume_path1`; all training videos count, held out or not.

    Options of a test that are not given are as in the checkpoint; returns those as used, and the source. Raises
    FileNotFoundError if a checkpoint, folder or video is missing; ValueError if the checkpoint does not fit the data,
    or its network has no such feature.
    """
    device = setup(opt.manual_seed, opt.device, deterministic=opt.deterministic)
    (spec,), (state,) = load_specs([StreamSpec(FEATURES, opt.resume_path1)], None)
    modality = modality_for([spec], opt.modality if "modality" in opt.given else None)
    opt = Namespace(**vars(as_trained(opt, state)) | {"modality": modality, "val_fraction": 0.0, "test_subset": "test"})
    network = load_networks([spec], [state], lambda *source: load_input(opt, *source))[FEATURES]
    annotation = build_annotation(opt)
    stored = state_checkpoint(spec.path, state, arch_of(opt.model, opt.model_depth), network.view)

    def open_test(subset: str) -> tuple[ClipLoader, list[str], dict[str, Any]]:
        listing = annotation.list_subset(subset, scored=True)
        seen = Namespace(**vars(opt) | {"test_subset": subset})
        loader = build_loader(seen, "test", [network.view], annotation=annotation)
        assert isinstance(loader.dataset, ClipDataset)
        about = state_scored(
            listing,
            {FEATURES: stored},
            subset=subset,
            options={name: getattr(opt, name) for name in RECORDED},
            provenance=images_made(loader.dataset.reader.store, opt.flow_source),
            activation="",
        )
        return loader, listing.class_names, about

    return opt, FeatureSource(network, feature, open_test, device, opt.amp)
