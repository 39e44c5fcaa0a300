"""Files of OpenVINO: .xml and .bin, in float32, with weights in half the bytes, or quantised to int8 by NNCF."""

import contextlib
import importlib
import io
import json
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO
from xml.etree import ElementTree

import numpy as np
import torch

from models.inference.runtimes import ABOUT, CHECKSUM, WEIGHTS, kept_signal_stack, load_openvino
from sts_common.files import sha256
from sts_common.json_text import as_json

from .exact_input import hold_bytes, read_bytes
from .plan import Export
from .real_clips import Calibration, as_arrays
from .tracing import trace, unsupported

RANKED = 32  # clips by which it is known which layers suffer most; each layer is tried on them
WEIGHTED = ("Convolution", "GroupConvolution", "MatMul")  # what NNCF puts into int8


def write_openvino(export: Export, file: BinaryIO) -> None:
    """Write the graph to an open file, and its weights beside it, at the name of the file with `WEIGHTS`.

    Weights of "bfloat16" are float16 in the file, which is more exact; what is computed with them is rounded further
    by the processor.
    """
    model = as_model(export)
    about = export.about() | {"openvino": load_openvino().__version__}
    if export.calibration:
        model = quantise(model, export.calibration)
        about["quantised"] = quantised_layers(model)
    model.set_rt_info(as_json(about), [ABOUT])
    with tempfile.TemporaryDirectory(dir=Path(file.name).parent, prefix=".openvino") as folder:
        graph = Path(folder) / "network.xml"
        load_openvino().save_model(model, graph, compress_to_fp16=export.dtype == "bfloat16")
        weights = graph.with_suffix(WEIGHTS)
        describe_openvino(graph, {CHECKSUM: sha256(weights)})
        with weights.open("rb") as written:
            os.fsync(written.fileno())
        file.write(graph.read_bytes())
        weights.replace(Path(file.name).with_suffix(WEIGHTS))


def describe_openvino(path: Path, more: Mapping[str, Any]) -> None:
    """Add entries to what the graph says of itself."""
    tree = ElementTree.parse(path)
    entry = tree.find(f"rt_info/{ABOUT}")
    assert entry is not None
    entry.set("value", as_json(json.loads(entry.attrib["value"]) | dict(more)))
    tree.write(path, "utf-8", xml_declaration=True)


def as_model(export: Export) -> Any:
    """Convert the deployed module, in float32, to a graph whose inputs and results have their names."""
    openvino, shapes = load_openvino(), export.shapes()
    root, level = logging.getLogger(), logging.getLogger().level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's parts that the converter uses
        program = trace(replace(export, dtype="float32"), channels_last=False)
        try:
            model = openvino.convert_model(program)
        except load_openvino("openvino.frontend").OpConversionFailure as error:
            raise unsupported("openvino", error) from error
        finally:
            root.setLevel(level)  # which a converter that fails leaves at errors alone
    for name, result in zip(shapes, model.inputs, strict=True):
        result.get_tensor().set_names({name})
    for name, result in zip(export.deployed().outputs, model.outputs, strict=True):
        result.get_tensor().set_names({name})
    model.reshape({name: [-1, *shape] for name, shape in shapes.items()})
    return model


class Validation:
    """Accuracy of compiled graphs on held-out clips, as NNCF asks for it."""

    def __init__(self, calibration: Calibration) -> None:
        self.clips = calibration.held_out
        self.first: float | None = None  # accuracy in [0, 1] of the first graph on all clips, the one in float32

    def __call__(self, compiled: Any, numbers: Iterable[int]) -> tuple[float, list[list[Any]]]:
        """Return the accuracy on some clips, and the scores of each."""
        scores, hits = [], 0
        for number in numbers:
            row = compiled(as_arrays(self.clips[number]))[0]
            hits += int(np.isfinite(row).all() and row.argmax() == self.clips.labels[number])
            scores.append([row])
        accuracy = hits / len(scores)
        if self.first is None and len(scores) == len(self.clips):
            self.first = accuracy
        return accuracy, scores


def quantise(model: Any, calibration: Calibration) -> Any:
    """Quantise a graph to int8; layers stay in float32 until the accuracy is kept, those that suffer most first.

    NNCF controls the accuracy before bytes are held exactly. Where that costs a held-out answer too many, the graph
    stays as NNCF left it. Raises ValueError if NNCF cannot quantise the network.
    """
    with quiet(), kept_signal_stack():
        byte_layers, validate = read_bytes(model), Validation(calibration)
        allowed = calibration.max_drop / 100 + 1e-9  # a fraction; a drop of just so much is kept
        result = run_nncf(model, calibration, validate, allowed)
        held = result.clone()
        hold_bytes(held, byte_layers)
        compiled = load_openvino().Core().compile_model(held, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        accuracy, _ = validate(compiled, range(len(calibration.held_out)))
        return held if validate.first is None or validate.first - accuracy <= allowed else result


def run_nncf(model: Any, calibration: Calibration, validate: Validation, allowed: float) -> Any:
    """Run NNCF, while the accuracy falls by no more than the fraction `allowed`; raises as `quantise`.

    Mean activations are kept layer by layer, and the ranges are those by which activations of all clips change least:
    the quick ways to either cost an answer in fifty, on the made-up videos of demo.py.
    """
    nncf = load_openvino("nncf")
    ranges = importlib.import_module("nncf.quantization.range_estimator").RangeEstimatorParametersSet
    train, held_out = (
        nncf.Dataset(range(len(clips)), lambda number, clips=clips: as_arrays(clips[number]))
        for clips in (calibration.train, calibration.held_out)
    )
    try:
        return nncf.quantize_with_accuracy_control(
            model,
            train,
            held_out,
            validate,
            max_drop=allowed,
            drop_type=nncf.DropType.ABSOLUTE,
            subset_size=len(calibration.train),
            fast_bias_correction=False,
            advanced_quantization_parameters=nncf.AdvancedQuantizationParameters(
                # Processors without VNNI add products of 8 x 8 bit in 16 bit, where two of them may overflow:
                # weights of 7 bit do not, so that the accuracy found here is that of every processor.
                overflow_fix=nncf.OverflowFix.ENABLE,
                activations_range_estimator_params=ranges.HISTOGRAM,
            ),
            advanced_accuracy_restorer_parameters=nncf.AdvancedAccuracyRestorerParameters(ranking_subset_size=RANKED),
        )
    except TypeError as error:
        if "TensorStatistic" not in str(error):  # as NNCF stumbles over a part of which it collected nothing
            raise
        raise ValueError(
            "--dtype int8: NNCF finds no ranges for some activations of this network; take --dtype float32, or "
            "--format onnx"
        ) from error


def quantised_layers(model: Any) -> dict[str, Any]:
    """Count the convolutions and products of a graph, and name those that are not in int8."""
    layers = [node for node in model.get_ordered_ops() if node.get_type_name() in WEIGHTED]
    float_layers = [node.get_friendly_name() for node in layers if not reads_quantised(node)]
    return {"layers": len(layers), "float_layers": float_layers}


def reads_quantised(node: Any) -> bool:
    """Return whether the activations of a layer are quantised, perhaps before their maxima are taken."""
    source = node.input_value(0).get_node()
    while source.get_type_name() == "MaxPool":
        source = source.input_value(0).get_node()
    return bool(source.get_type_name() == "FakeQuantize")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep NNCF silent but for its progress, which a terminal alone shows, and not among the results."""
    names = ("nncf", "torch.utils.cpp_extension")
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with (
            contextlib.redirect_stdout(sys.stderr if sys.stderr.isatty() else io.StringIO()),
            warnings.catch_warnings(),
            torch.random.fork_rng(devices=[]),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
