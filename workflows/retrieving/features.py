"""The features that the options of a test describe."""

from argparse import Namespace
from typing import Any

from datasets import ClipDataset, ClipLoader, build_annotation, build_loader
from datasets.records.clip_recipe import images_made
from engine import setup
from models.backbones import arch_of
from opts import RECORDED, as_trained

from ..shared.score_facts import state_checkpoint, state_scored
from ..testing.evaluation import StreamSpec, load_networks, load_specs, modality_for
from ..testing.inputs import load_input
from .video_features import FEATURES, FeatureSource


def build_feature_source(opt: Namespace, feature: str) -> tuple[Namespace, FeatureSource]:
    """Build what reads a feature of the network of `--resume_path1`; all training videos count, held out or not.

    Args:
        opt: Options of a test of one network; those not given are as in the checkpoint.
        feature: Of the network.

    Returns:
        The options as used, and the source.

    Raises:
        FileNotFoundError: If a checkpoint, folder or video is missing.
        ValueError: If the checkpoint does not fit the data, or its network has no such feature.
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
