"""Evaluation of the test scripts: scoring the test videos with some streams, fusion, and the report."""

import logging
from argparse import Namespace
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch

from datasets import MODALITIES, RGB, ClipDataset, Stream, build_annotation, build_loader, modality_of
from datasets.records.clip_recipe import images_made
from engine import Scores, checkpoint, is_main, result_lines, setup, video_metrics, write_result
from engine.evaluation.result_file import accuracies
from models import StreamNetwork, stream_weights
from models.backbones import arch_of
from opts import RECORDED, as_trained

from ..shared.score_facts import check_held_out, state_checkpoint, state_scored
from .fusing import ALONE, check_distinct, fused_scores, fusion_table, table_lines
from .held_out import Tested, fitted_weights
from .inputs import load_input, stream_of
from .outputs import check_outputs, run_name_of
from .scoring import all_class_names, same_classes, score
from .training_facts import warn_of_other_split, warn_of_swapped

log = logging.getLogger(__name__)


class StreamSpec(NamedTuple):
    """Stream to score, and its checkpoint."""

    name: str  # its name in results; "" for one that follows from what it reads, see `free_name`
    path: str  # checkpoint file
    stream: Stream | None = None  # what its network reads; None if the checkpoint is to say


def score_streams(opt: Namespace, specs: Sequence[StreamSpec]) -> tuple[Namespace, Scores]:
    """Score every test video with the networks of some checkpoints; each clip is read once for all of them.

    The scores of a stream do not depend on the others, to the last bit on a CPU, for the same clips are cut and come in
    the same batches: see `datasets.build_dataset` on which frames count. Options of clips that are not given are those
    of the first checkpoint, but for the side of the input: each network has its own, unless it is given. Data set,
    split and folders are those of `data_source`. Returns the options as used, and the scores. Raises FileNotFoundError
    if a checkpoint, folder or video is missing; ValueError if a checkpoint does not fit its stream, the data or the
    others, or would be overwritten; OSError if the results could not be written.
    """
    check_outputs(Path(opt.result_path) if opt.log else None, opt.scores_path)
    if opt.scores_path and is_among(opt.scores_path, [*(opt.fit or ()), *(spec.path for spec in specs if spec.path)]):
        raise ValueError(f"--scores_path {opt.scores_path}: would overwrite what is read: name another file")
    device = setup(opt.manual_seed, opt.device, deterministic=opt.deterministic)
    specs, states = load_specs(specs, opt.fusion_weights)
    also = ["val_fraction"] if opt.test_subset == "val" else []
    opt = as_trained(opt, states[0], also, specs[0].path, data_source(specs, states))
    check_outputs(Path(opt.result_path) / opt.dataset if opt.log else None, "")  # the checkpoint named the data set
    modality = modality_for(specs, opt.modality if "modality" in opt.given else None)
    if opt.stream and opt.only_RGB and any(spec.stream and spec.stream.is_flow for spec in specs):
        raise ValueError("--only_RGB counts frames without flow, but a checkpoint reads flow: leave it out")
    run_name = run_name_of(states) if opt.log and opt.run_name is None else opt.run_name
    opt = Namespace(**vars(opt) | {"modality": modality, "run_name": run_name})
    if opt.test_subset == "val":
        for spec, state in zip(specs, states, strict=True):
            check_held_out(state, spec.path, dataset=opt.dataset, split=opt.split, val_fraction=opt.val_fraction)
    annotation = build_annotation(opt)
    listing = annotation.list_subset(opt.test_subset, scored=True)
    tested_list = zip(specs, states, strict=True) if opt.test_subset == "test" else ()
    splits = {state.get("options", {}).get("split") for state in states} - {None}
    trained_on = {spec.name: warn_of_other_split(state, spec.path, annotation, splits) for spec, state in tested_list}
    networks = load_networks(
        specs, states, partial(load_input, opt, num_classes=opt.n_classes, class_names=listing.class_names)
    )
    same_classes([*networks.values()], [spec.path for spec in specs], len(listing.class_names))
    loader = build_loader(opt, "test", [network.view for network in networks.values()], annotation=annotation)
    assert isinstance(loader.dataset, ClipDataset)
    arch = arch_of(opt.model, opt.model_depth)  # of published checkpoints, which state none
    checkpoints = {
        spec.name: state_checkpoint(spec.path, state, arch, networks[spec.name].view) | trained_on.get(spec.name, {})
        for spec, state in zip(specs, states, strict=True)
    }
    about = state_scored(
        listing,
        checkpoints,
        subset=opt.test_subset,
        options={name: getattr(opt, name) for name in RECORDED},
        provenance=images_made(loader.dataset.reader.store, opt.flow_source),
        activation=opt.fusion if opt.clip_mean == "after" else "",
    )
    names = all_class_names(listing.class_names, next(iter(networks.values())).num_classes)
    test = Tested([entry.path for entry in listing.entries], names, list(networks), about)
    opt = Namespace(**vars(opt) | fitted_weights(opt.fit, test))
    scores = score(
        networks,
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
        about=about,
    )
    return opt, scores


def data_source(specs: Sequence[StreamSpec], states: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, Any], str]:
    """Return the checkpoint that says where the data are, and its name: the first of a flow network, else the first.

    Video files, from which an RGB network may have learnt, have no flow; published checkpoints say nothing.
    """
    stating = [(spec, state) for spec, state in zip(specs, states, strict=True) if state.get("options")]
    reading_flow = [(spec, state) for spec, state in stating if spec.stream and spec.stream.is_flow]
    spec, state = next(iter((*reading_flow, *stating)), (specs[0], states[0]))
    return state, spec.path


def is_among(path: str | Path, others: Sequence[str]) -> bool:
    """Return whether a path is that of one of some files, however both are written."""
    return Path(path).resolve() in [Path(other).resolve() for other in others]


def load_specs(
    specs: Sequence[StreamSpec], weights: Sequence[float] | None
) -> tuple[list[StreamSpec], list[dict[str, Any]]]:
    """Load checkpoints and complete streams from them; the weights are of their fusion. Raises as `score_streams`."""
    for i, spec in enumerate(specs, 1):
        if not spec.path:
            raise ValueError(f"--resume_path{i} is missing: a test needs trained weights")
    check_distinct([spec.path for spec in specs], ALONE)
    stream_weights(weights, len(specs))  # an error now, not after hours of scoring
    completed, states = list[StreamSpec](), list[dict[str, Any]]()
    for spec in specs:
        state = checkpoint.load(spec.path)
        state.pop("optimizer", None)  # those of many streams would fill the memory
        stream = spec.stream or stream_of(state, spec.path)
        name = spec.name or free_name(stream, [other.name for other in completed])
        completed.append(spec._replace(name=name, stream=stream))
        states.append(state)
    warn_of_swapped({spec.name: (spec.path, state) for spec, state in zip(completed, states, strict=True)})
    return completed, states


def free_name(stream: Stream, taken: Collection[str]) -> str:
    """Return a name for a stream beside those taken: "sfs", "sfs2" and so on beside "rgb", else what it reads."""
    name = "sfs" if stream == RGB and RGB.name in taken else stream.name
    return next(free for free in (name, *(f"{name}{i}" for i in range(2, len(taken) + 2))) if free not in taken)


def method_of(fusion: str) -> str:
    """Return the reported fusion; the table of all of them stands beside it."""
    return "activno" if fusion == "all" else fusion


def load_networks(
    specs: Sequence[StreamSpec],
    states: Sequence[Mapping[str, Any]],
    load: Callable[[Mapping[str, Any], str, Stream], StreamNetwork],
) -> dict[str, StreamNetwork]:
    """Load the networks of some checkpoints by the names of their streams, and say which have a side of their own.

    `load` takes a checkpoint, its name and the stream that its network reads.
    """
    networks = {}
    for (name, path, stream), state in zip(specs, states, strict=True):
        assert stream
        networks[name] = load(state, path, stream)
        if networks[name].view != stream.name:
            log.info("%s: reads %s, at the side of its training", path, networks[name].view)
    return networks


def modality_for(specs: Sequence[StreamSpec], given: str | None) -> str:
    """Return the key of `MODALITIES` that is tested: the given one, or the streams that are read.

    Raises ValueError if the given one excludes a stream.
    """
    read = {spec.path: spec.stream for spec in specs if spec.stream}
    modality = given or modality_of(read.values())
    there = {stream.source for stream in MODALITIES[modality]}
    for path, stream in read.items():
        if stream.source not in there:
            raise ValueError(f"--modality {modality}: {path} reads {stream.name}; leave --modality out")
    return modality


def report(opt: Namespace, scores: Scores, path: Path) -> dict[str, float]:
    """Fuse, print the accuracies, and write the result file and the scores as the options say.

    The result file is written if `--log 1`; without `--scores_path` the scores then lie beside it. Returns "top1",
    "top5" and "mean_class" of the fused scores, in [0, 1]. Raises OSError if they could not be written.
    """
    check_outputs(path.parent if opt.log else None, opt.scores_path)  # of score files, too, which nobody scored here
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
        were_read = [*(opt.scores or ()), *(opt.fit or ())]
        save(replace(scores, about=scores.about | settings), fused, target, were_read)
    return metrics


def print_table(scores: Scores, extra: Sequence[float] | None) -> None:
    """Print the table of all fusions, with its caveat."""
    for line in table_lines(fusion_table(scores, extra), scores.streams):
        print(line)  # noqa: T201 - the result
    if scores.about.get("subset") != "val":
        print("\nThe best line of a test list is no result: choose a fusion on --test_subset val.\n")  # noqa: T201


def save(scores: Scores, fused: torch.Tensor, path: Path, were_read: Sequence[str]) -> None:
    """Write the score file, but never over one that was read."""
    if is_among(path, were_read):
        log.warning("%s: not written, for it was read; name another file with --scores_path", path)
        return
    scores.save(path, fused)
