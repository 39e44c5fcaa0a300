"""Evaluation of the test scripts: scoring the test videos with some streams, fusion, and the report."""

import logging
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from datasets import FLOW, MODALITIES, ClipDataset, Stream, build_annotation, build_loader, check_data, modality_of
from engine import Scores, checkpoint, is_main, result_lines, setup, video_metrics, write_result
from engine.evaluation.result_file import accuracies
from models import StreamNetwork, load_stream, stream_weights
from opts import ARCHITECTURE, adopt, as_trained

from ..shared.score_facts import check_held_out, state_scored
from .fusing import ALONE, check_distinct, fused_scores, fusion_table, table_lines
from .inputs import at_own_size, stream_of
from .scoring import same_classes, score

log = logging.getLogger(__name__)


class StreamSpec(NamedTuple):
    """Stream to score, and its checkpoint.

    Attributes:
        name: Its name in results.
        path: Checkpoint file.
        stream: What its network reads; None if the checkpoint is to say.
    """

    name: str
    path: str
    stream: Stream | None = None


def score_streams(opt: Namespace, specs: Sequence[StreamSpec]) -> tuple[Namespace, Scores]:
    """Score every test video with the networks of some checkpoints; each clip is read once for all of them.

    The scores of a stream do not depend on the others, to the last bit on a CPU, for the same clips are cut and come
    in the same batches: see `datasets.build_dataset` on which frames count. Only options of clips that are not given
    are those of the first checkpoint, but for the side of the input: each network has its own, unless it is given.

    Args:
        opt: Options; those not given are taken from the first checkpoint.
        specs: Streams to score, with their checkpoints.

    Returns:
        The options as used, and the scores.

    Raises:
        FileNotFoundError: If a checkpoint, folder or video is missing.
        ValueError: If a checkpoint does not fit its stream, the data or the others.
    """
    device = setup(opt.manual_seed, opt.device, deterministic=opt.deterministic)
    opt, specs, states = load_specs(opt, specs)
    annotation = build_annotation(opt)
    listing = annotation.list_subset(opt.test_subset, scored=True)
    networks = load_networks(opt, specs, states, listing.class_names)
    loader = build_loader(opt, "test", [network.view for network in networks], annotation=annotation)
    assert isinstance(loader.dataset, ClipDataset)
    scores = score(
        {spec.name: network for spec, network in zip(specs, networks, strict=True)},
        loader,
        class_names=listing.class_names,
        listed=len(listing.entries),
        fusion=method_of(opt.fusion),
        fusion_weights=opt.fusion_weights,
        clip_mean=opt.clip_mean,
        device=device,
        amp=opt.amp,
        compile_mode=opt.compile,
        group_width=opt.group_width,
        about=state_scored(opt, loader.dataset, listing, specs, states),
    )
    return opt, scores


def load_specs(opt: Namespace, specs: Sequence[StreamSpec]) -> tuple[Namespace, list[StreamSpec], list[dict[str, Any]]]:
    """Load checkpoints and complete options and streams from them; raises as `score_streams`."""
    for i, spec in enumerate(specs, 1):
        if not spec.path:
            raise ValueError(f"--resume_path{i} is missing: a test needs trained weights")
    check_distinct([spec.path for spec in specs], ALONE)
    stream_weights(opt.fusion_weights, len(specs))  # an error now, not after hours of scoring
    states = [without_optimiser(checkpoint.load(spec.path)) for spec in specs]
    pairs = zip(specs, states, strict=True)
    specs = [spec._replace(stream=spec.stream or stream_of(state, spec.path)) for spec, state in pairs]
    opt = settled(opt, states[0], specs)
    if opt.test_subset == "val":
        for spec, state in zip(specs, states, strict=True):
            check_held_out(state, spec.path, dataset=opt.dataset, split=opt.split, val_fraction=opt.val_fraction)
    return opt, specs, states


def method_of(fusion: str) -> str:
    """Return the reported fusion; the table of all of them stands beside it."""
    return "activno" if fusion == "all" else fusion


def load_networks(
    opt: Namespace, specs: Sequence[StreamSpec], states: Sequence[Mapping[str, Any]], class_names: Sequence[str]
) -> list[StreamNetwork]:
    """Load the networks of some checkpoints, and check that they fit; raises as `score_streams`."""
    networks = []
    for (_, path, stream), state in zip(specs, states, strict=True):
        assert stream
        network = load_stream(adopt(opt, state, ARCHITECTURE), stream, state, path, opt.n_classes)
        check_data(at_own_size(network, opt, state), state, path, stream, class_names)
        if network.view != stream.name:
            log.info("%s: reads %s, at the side of its training", path, network.view)
        networks.append(network)
    same_classes(networks, [spec.path for spec in specs], len(class_names))
    return networks


def without_optimiser(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return a checkpoint without its training state: those of many streams would fill the memory."""
    return {name: value for name, value in state.items() if name != "optimizer"}


def settled(opt: Namespace, state: Mapping[str, Any], specs: Sequence[StreamSpec]) -> Namespace:
    """Return the options of a test: those not given from its first checkpoint, and `--modality` as the streams.

    Raises:
        ValueError: If the given ones exclude a stream.
    """
    opt = as_trained(opt, state, ["val_fraction"] if opt.test_subset == "val" else [])
    read = {spec.path: spec.stream for spec in specs if spec.stream}
    modality = opt.modality if "modality" in opt.given else modality_of(read.values())
    there = {stream.source for stream in MODALITIES[modality]}
    for path, stream in read.items():
        if stream.source not in there:
            raise ValueError(f"--modality {modality}: {path} reads {stream.name}; leave --modality out")
    if opt.stream and opt.only_RGB and any(stream.source == FLOW.name for stream in read.values()):
        raise ValueError("--only_RGB counts frames without flow, but a checkpoint reads flow: leave it out")
    return Namespace(**vars(opt) | {"modality": modality, "run_name": tested_run(opt.run_name, state, len(specs))})


def tested_run(given: str | None, state: Mapping[str, Any], networks: int) -> str | None:
    """Return the run beside which a test's files stand: the given one, or that of a single checkpoint, if any."""
    stored = state.get("options", {}).get("run_name") if networks == 1 else None
    return stored if given is None else given


def report(opt: Namespace, scores: Scores, path: Path) -> dict[str, float]:
    """Fuse, print the accuracies, and write the result file and the scores as the options say.

    Args:
        opt: Options.
        scores: Of every stream.
        path: Result file, written if `--log 1`; without `--scores_path` the scores then lie beside it.

    Returns:
        "top1", "top5" and "mean_class" of the fused scores, in [0, 1].
    """
    method = method_of(opt.fusion)
    fused = fused_scores(scores, method, opt.fusion_weights, opt.clip_mean)
    metrics = video_metrics(fused, scores.label)
    if not is_main():  # all processes have the scores, one says so
        return metrics
    if opt.fusion == "all":
        print_table(scores, opt.fusion_weights)
    if len(scores.streams) > 1:
        for name, logits in zip(scores.streams, scores.logits, strict=True):
            log.info("%s alone: top-1 %.4f", name, video_metrics(logits, scores.label)["top1"])
    log.info("%s", accuracies(scores, metrics))
    print(f"Video accuracy =  {metrics['top1']}")  # noqa: T201 - the line that the published scripts print
    lines = result_lines(fused, scores.label)
    if len(scores.video) < scores.listed:  # not a published line: published scripts said nothing
        lines.append(f"Videos = {len(scores.video)} of {scores.listed} listed")
    if opt.log:
        write_result(path, str(opt), lines)
    settings = {"fusion": method, "fusion_weights": opt.fusion_weights, "clip_mean": opt.clip_mean}
    if opt.log or opt.scores_path:
        target = Path(opt.scores_path) if opt.scores_path else path.with_suffix(".npz")
        save(replace(scores, about=scores.about | settings), fused, target, opt.scores or ())
    return metrics


def print_table(scores: Scores, extra: Sequence[float] | None) -> None:
    """Print the table of all fusions, with its caveat."""
    for line in table_lines(fusion_table(scores, extra), scores.streams):
        print(line)  # noqa: T201 - the result
    if scores.about.get("subset") != "val":
        print("\nThe best line of a test list is no result: choose a fusion on --test_subset val.\n")  # noqa: T201


def save(scores: Scores, fused: torch.Tensor, path: Path, were_read: Sequence[str]) -> None:
    """Write the score file, but never over one that was read."""
    if path.resolve() in [Path(read).resolve() for read in were_read]:
        log.warning("%s: not written, for it was read; name another file with --scores_path", path)
        return
    scores.save(path, fused)
