"""First convolutions of a graph that read bytes, in a form in which 8 bits hold each byte exactly.

Normalised bytes do not fall on the grid of a quantised activation, and a network that tells small motions apart loses
more by that than in all other layers. Here such a convolution reads x - 128, a whole number of 8 bits for each byte x.
The scale of the normalisation is in its weights, and its shift in a constant that is added: one for each place, for the
padding, which is the mean of the pixels, is another number at each of the borders.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.inference.runtimes import load_openvino

ZERO, LEVELS = 128, 256  # the byte that is 0 for the convolution, and the bytes there are
NORMALISING = ("Convert", "Add", "Subtract", "Multiply", "Divide")


def read_bytes(model: Any) -> list[str]:
    """Let the first convolutions of a graph read bytes, in place; the results remain.

    A convolution whose clips are brought into another shape before it, as in networks of images, is left as it is.

    Returns:
        Their names.
    """
    opset, names = load_openvino("openvino.opset13"), []
    for layer, clips in list(first_convolutions(model)):
        scale, shift = normalisation(layer, clips)
        weights = layer.input_value(1).get_node().get_data() * scale[:, None, None, None]
        attributes = layer.get_attributes()
        strides, padding, dilations = (attributes[name] for name in ("strides", "pads_begin", "dilations"))
        centred = opset.subtract(opset.convert(clips, "f32"), opset.constant(np.float32(ZERO)))
        exact = opset.convolution(centred, opset.constant(weights), strides, padding, attributes["pads_end"], dilations)
        lacking = ZERO + shift / scale  # what x - 128 lacks of the normalised x, in the clip and not in its padding
        grey = np.broadcast_to(lacking[:, None, None, None], shape_of(clips)).astype(np.float32)
        added = torch.conv3d(torch.from_numpy(grey), torch.from_numpy(weights), None, strides, padding, dilations)
        result = opset.add(exact, opset.constant(added.numpy()))
        for reader in layer.output(0).get_target_inputs():
            reader.replace_source_output(result.output(0))
        names.append(layer.get_friendly_name())
        exact.set_friendly_name(names[-1])
    model.validate_nodes_and_infer_types()
    return names


def hold_bytes(model: Any, names: Iterable[str]) -> None:
    """Set the grid of what these convolutions read, if it is quantised, to that of the bytes."""
    opset, names = load_openvino("openvino.opset13"), set(names)
    for layer in (node for node in model.get_ordered_ops() if node.get_friendly_name() in names):
        grid = layer.input_value(0).get_node()
        if grid.get_type_name() == "FakeQuantize":
            for place, bound in enumerate((-ZERO, LEVELS - ZERO - 1) * 2, 1):  # read and written: least and most
                grid.input(place).replace_source_output(opset.constant(np.float32(bound)).output(0))
            grid.set_levels(LEVELS)


def first_convolutions(model: Any) -> Iterator[tuple[Any, Any]]:
    """Yield convolutions that read an input of the graph, normalised, each with its input."""
    for layer in model.get_ordered_ops():
        if layer.get_type_name() != "Convolution" or not is_constant(layer.input_value(1)):
            continue
        source = layer.input_value(0).get_node()
        while source.get_type_name() in NORMALISING and all(map(is_constant, source.input_values()[1:])):
            source = source.input_value(0).get_node()
        even = layer.get_attributes()["pads_begin"] == layer.get_attributes()["pads_end"]
        if source.get_type_name() == "Parameter" and even:
            yield layer, source


def is_constant(output: Any) -> bool:
    """Return whether a value of a graph is known."""
    return bool(output.get_node().get_type_name() == "Constant")


def normalisation(layer: Any, clips: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return scale and shift, each (C,), by which a convolution sees bytes: scale * x + shift."""
    openvino = load_openvino()
    part = openvino.Model([layer.input_value(0)], [clips])
    seen = openvino.Core().compile_model(part, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    least, most = (
        seen([np.full(shape_of(clips), x, np.uint8)])[0][0, :, 0, 0, 0].astype(np.float64) for x in (0, LEVELS - 1)
    )
    return ((most - least) / (LEVELS - 1)).astype(np.float32), least.astype(np.float32)


def shape_of(clips: Any) -> tuple[int, ...]:
    """Return the shape (1, C, T, H, W) of a clip of an input."""
    return (1, *(side.get_length() for side in list(clips.get_partial_shape())[1:]))
