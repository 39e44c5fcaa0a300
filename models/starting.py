"""Networks with their streams from checkpoints, and those that a training begins with."""

import logging
from argparse import Namespace
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sts_common import counted

from .backbones import MODELS, Backbone, arch_of, build_model, create_model, options_in, spec_of
from .backbones.arguments import OPTIONS, arguments_from
from .backbones.contract import channels_last
from .backbones.layout import Segments
from .dialects import choose_normalisation, log_assumptions
from .normalisation import AUTO, Stream, normalisation_of, wanted_by
from .pretrained import RANDOM, describe, find_weights, is_inflation, read_weights, start_from
from .streams import StreamNetwork
from .weights import arguments_in, load_weights, shape_of, shown_by, weights_of

log = logging.getLogger(__name__)

IMAGES = "resnet2d"  # whose normalisation goes with weights of images


def load_stream(
    opt: Namespace, stream: Stream, checkpoint: Mapping[str, Any], source: str, num_classes: int | None = None
) -> StreamNetwork:
    """Load the network of a checkpoint, with its weights and normalisation; logs what the checkpoint does not state.

    Args:
        opt: Says which architecture, and how inputs are normalised, where the checkpoint does not.
        stream: What it must read.
        checkpoint: Content of the file.
        source: Its name, for errors.
        num_classes: Outputs it must have; None accepts any.

    Raises:
        ValueError: If the weights are another architecture's, stream's or class count's, or not finite.
    """
    given = getattr(opt, "given", ())
    shown = shown_by(checkpoint, source)
    stated = Namespace(**vars(opt) | {name: value for name, value in shown.items() if name not in given})
    return restore_stream(
        checkpoint,
        source,
        stream,
        {"name": stated.model, "args": arguments_from(stated, spec_of(stated.model))},
        normalisation=getattr(opt, "normalisation", [AUTO]),
        given=given,
        num_classes=num_classes,
    )


def restore_stream(
    checkpoint: Mapping[str, Any],
    source: str,
    stream: Stream,
    origin: Mapping[str, Any],
    *,
    normalisation: Sequence[str] = (AUTO,),
    given: Collection[str] = (),
    num_classes: int | None = None,
) -> StreamNetwork:
    """Create the network of a checkpoint, with all that it states; logs what it does not; raises as `load_stream`.

    Args:
        checkpoint: Content of the file.
        source: Its name, for errors.
        stream: What the network must read.
        origin: {"name", "args"} of the network, see `weights.origin_of`.
        normalisation: A key of `NORMALISATIONS`, "auto", or means and then standard deviations, as words; where the
            checkpoint does not state it.
        given: Names of the options that were given.
        num_classes: Outputs it must have; None accepts any.
    """
    weights, spec = weights_of(checkpoint, source), spec_of(origin["name"])
    channels, classes = shape_of(weights, source, spec.build)
    check_arch(arch_of(origin["name"], origin["args"].get("depth")), spec.build, checkpoint, source)
    if num_classes not in (None, classes):
        raise ValueError(f"{source}: weights for {counted(classes, 'class')}, not {num_classes}: check --n_classes")
    network = create_model(origin["name"], stream.channels, classes, **origin["args"])
    expected = network.get_submodule(network.first_conv).in_channels
    if channels != expected:
        raise ValueError(
            f"{source}: weights for {counted(channels, 'input channel')}, but the {stream.name} stream has "
            f"{expected}: check --modality and the order of the checkpoints"
        )
    if (stated := checkpoint.get("stream", stream.name)) != stream.name:
        raise ValueError(f"{source}: a network that reads {stated}, not {stream.name}: check --modality")
    load_weights(network, weights, source)
    shown = {OPTIONS.get(name, name) for name in arguments_in(checkpoint, source=source)}
    log_assumptions(origin, {*given, *shown}, checkpoint, source)
    settled = choose_normalisation(
        *(normalisation, stream, checkpoint, source), model=origin["name"], explicit="normalisation" in given
    )
    model = StreamNetwork(network, stream, settled)
    names, recipe = checkpoint.get("class_names"), checkpoint.get("recipe")
    model.class_names = list(names) if isinstance(names, list | tuple) else []
    model.recipe = dict(recipe) if isinstance(recipe, Mapping) else {}
    model.source = source
    return model


def start_stream(
    opt: Namespace, stream: Stream, checkpoint: Mapping[str, Any], source: str, num_labels: int, *, resuming: bool
) -> StreamNetwork:
    """Build the network that a training run begins with.

    Resuming, it is the checkpoint's. With any other checkpoint it is the checkpoint's with a fresh classifier of
    `--n_finetune_classes` outputs, or its own with `--keep_classifier`, and without one a random network of
    `--n_classes` outputs; where these are not given, one output per label.

    Args:
        opt: Options.
        stream: What it reads.
        checkpoint: Content of the file to start from, empty to start from scratch.
        source: Its name, for errors.
        num_labels: Classes of the annotation.
        resuming: Whether the checkpoint is one of the same run.

    Raises:
        ValueError: If the checkpoint does not fit, or there are fewer outputs than labels.
    """
    are_classes = bool(getattr(opt, "ce_weight", 1))  # not of a student without labels
    if not checkpoint:
        num_classes = check_outputs(opt.n_classes, "n_classes", num_labels, are_classes=are_classes)
        network, like = build_model(opt, stream.channels, num_classes), opt.model
        if getattr(opt, "init", RANDOM) != RANDOM:
            path = find_weights(opt.init, network.origin, download=opt.download)
            weights = read_weights(path)
            start_from(network, weights, str(path), opt.inflate)
            log.info("%s", describe(network, weights, path, opt.inflate))
            if is_inflation(network, weights) and not wanted_by(opt.model, stream):
                like = opt.init if opt.init in MODELS else IMAGES
        return StreamNetwork(network, stream, normalisation_of(opt.normalisation, stream, model=like))
    if resuming:
        return load_stream(opt, stream, checkpoint, source)
    pretrained = as_pretrained(checkpoint, source, stream, normalisation=opt.normalisation, model=opt.model)
    given = {*getattr(opt, "given", ())} - {*Segments._fields}  # as it was trained
    model = load_stream(Namespace(**vars(opt) | {"given": given}), stream, pretrained, source, opt.n_classes)
    change_segments(model, {name: getattr(opt, name) for name in Segments._fields if name in getattr(opt, "given", ())})
    if not getattr(opt, "keep_classifier", False):
        wanted = check_outputs(opt.n_finetune_classes, "n_finetune_classes", num_labels, are_classes=are_classes)
        model.reset_classifier(wanted)
    elif model.num_classes != num_labels:
        there = counted(model.num_classes, "class")
        raise ValueError(f"{source}: {there}, but the annotation has {num_labels}: leave out --keep_classifier")
    return model


def change_segments(model: StreamNetwork, segments: Mapping[str, Any]) -> None:
    """See clips in other segments than a network was trained on, or join them otherwise; so TLE begins with TSN.

    The network of `model` is replaced, with `segments`, fields of `Segments` by name.

    Raises:
        ValueError: If the wanted network has parts that the other has not.
    """
    network = model.network
    args = network.origin["args"]
    if all(args[name] == value for name, value in segments.items()):
        return
    name, channels = network.origin["name"], network.in_channels
    model.network = create_model(name, channels, network.num_classes, **args | segments)
    start_from(model.network, network.state_dict(), model.source)
    channels_last(model.network)


def as_pretrained(
    checkpoint: Mapping[str, Any], source: str, stream: Stream, *, normalisation: Sequence[str], model: str
) -> Mapping[str, Any]:
    """Return a checkpoint to fine-tune on a stream, which may have learned another one of as many channels.

    So TSN begins RGB differences with weights of RGB (Wang et al., ECCV 2016). The normalisation is the new stream's.

    Args:
        checkpoint: Content of the file.
        source: Its name, for the log.
        stream: What it is to read.
        normalisation: Of another stream than its own, as in `restore_stream`.
        model: A key of `MODELS`, whose own normalisation "auto" may be.
    """
    stated = checkpoint.get("stream", stream.name)
    if stated == stream.name:
        return checkpoint
    log.info("%s: pre-trained on %s, and goes on with %s", source, stated, stream.name)
    settled = normalisation_of(normalisation, stream, model=model)
    recipe = {**checkpoint.get("recipe", {}), "normalisation": settled}
    return {**checkpoint, "stream": stream.name, "recipe": recipe}


def check_arch(arch: str, network: type[Backbone], checkpoint: Mapping[str, Any], source: str) -> None:
    """Refuse a checkpoint that names another network than `arch`; in a dialect it may have another name.

    Raises:
        ValueError: Names both.
    """
    stated = checkpoint.get("arch", arch)
    named = options_in(str(stated))
    same = stated == arch or (named and arch_of(named["model"], named.get("model_depth")) == arch)
    if not same and (named or not network.dialects):
        raise ValueError(f"{source}: weights of {stated}, not {arch}: check --model and --model_depth")


def check_outputs(outputs: int | None, option: str, num_labels: int, *, are_classes: bool) -> int:
    """Return the number of outputs asked for, or one per label; more are warned of, where outputs are classes."""
    if outputs is not None and outputs < num_labels:
        raise ValueError(f"--{option} {outputs} is too few: the annotation has {num_labels} classes")
    if outputs is not None and outputs > num_labels and are_classes:
        unused = f"the annotation has {num_labels} classes, and predict.py and export.py take no outputs without a name"
        log.warning("--%s %d: %s: leave it out", option, outputs, unused)
    return outputs or num_labels
