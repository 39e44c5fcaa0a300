"""Files of ONNX: in float32, float16, or quantised to int8 by onnxruntime, with QDQ nodes."""

import importlib
import json
import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import torch

from models.inference.runtimes import ABOUT, load_onnxruntime
from sts_common.json_text import as_json

from .plan import Export
from .real_clips import Calibration, as_arrays
from .tracing import EXAMPLES, any_batch, unsupported

OPSET = 18  # the oldest that torch's exporter writes without conversion, so that most runtimes read it
# In int8; what fuses the logits of several networks stays in float32.
QUANTISED = ("Conv", "Gemm", "MatMul", "Add", "Relu", "MaxPool")


def write_onnx(export: Export, file: BinaryIO) -> None:
    """Write a graph of the default domain, checked by onnx."""
    checker = importlib.import_module("onnx.checker")
    model = as_proto(export)
    if export.calibration:
        model = quantise(model, export.calibration)
    checker.check_model(model, full_check=True)
    file.write(model.SerializeToString())


def describe_onnx(path: Path, more: Mapping[str, Any]) -> None:
    """Add entries to what the file says of itself."""
    onnx = importlib.import_module("onnx")
    model = onnx.load(path)
    (entry,) = (entry for entry in model.metadata_props if entry.key == ABOUT)
    entry.value = as_json(json.loads(entry.value) | dict(more))
    onnx.save(model, path)


def as_proto(export: Export) -> Any:
    """Convert the deployed module to a graph of ONNX that says what it is."""
    deployed, clips = export.deployed(channels_last=False), export.clips(EXAMPLES)
    for name in ("onnx_ir", "onnxscript"):  # they tell of each constant
        logging.getLogger(name).setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "# The axis name: batch will not", UserWarning)  # twice, of two inputs
        try:
            program = torch.onnx.export(
                deployed,
                kwargs={"clips": clips},  # a last positional dict would be taken for these
                dynamo=True,
                dynamic_shapes=any_batch(clips),
                input_names=list(clips),
                output_names=deployed.outputs,
                opset_version=OPSET,
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            raise unsupported("onnx", error) from error
    assert program is not None
    for node in program.model.graph:
        node.metadata_props.clear()  # paths of this machine
    program.model.metadata_props[ABOUT] = as_json(export.about() | {"opset": OPSET})
    return program.model_proto


def quantise(model: Any, calibration: Calibration) -> Any:
    """Quantise weights and activations of a graph, with the ranges that the calibration's clips have."""
    load_onnxruntime()
    onnx, tools = importlib.import_module("onnx"), importlib.import_module("onnxruntime.quantization")

    class Reader(tools.CalibrationDataReader):  # type: ignore[name-defined]
        def __init__(self) -> None:
            self.clips = (as_arrays(calibration.train[i]) for i in range(len(calibration.train)))

        def get_next(self) -> dict[str, Any] | None:
            return next(self.clips, None)

    with tempfile.TemporaryDirectory() as folder, without_advice():
        whole, small = Path(folder) / "float32.onnx", Path(folder) / "int8.onnx"
        onnx.save(model, whole)
        tools.quantize_static(
            whole,
            small,
            Reader(),
            quant_format=tools.QuantFormat.QDQ,
            op_types_to_quantize=list(QUANTISED),
            per_channel=True,
            reduce_range=True,  # weights of 7 bit, see `openvino_file.run_nncf`
            activation_type=tools.QuantType.QUInt8,
            weight_type=tools.QuantType.QInt8,
        )
        result = onnx.load(small)
    del result.metadata_props[:]
    for entry in model.metadata_props:
        result.metadata_props.add(key=entry.key, value=entry.value)
    return result


@contextmanager
def without_advice() -> Iterator[None]:
    """Silence advice to users of onnxruntime's tools, which is logged at the root and nowhere else."""

    def is_error(record: logging.LogRecord) -> bool:
        return record.levelno > logging.WARNING

    root = logging.getLogger()
    root.addFilter(is_error)
    try:
        yield
    finally:
        root.removeFilter(is_error)
