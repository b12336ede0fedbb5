"""Writes the int8 model: the unquantised one with 8-bit weights and activations, by the recorded calibration.

Only what TensorFlow Lite 1.15 knows is used, so that both runtimes load the file: operator versions 1 to 3, every
buffer inline, codes in the old field. Input and outputs are int8; there is no QUANTIZE or DEQUANTIZE operator.
"""

import hashlib
import json
import pathlib
import sys

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.schema_py_generated import BuiltinOperator, TensorType

import equalize
import flat

# The lowest version of each operator that takes int8.
VERSIONS = {
    BuiltinOperator.CONV_2D: 3,
    BuiltinOperator.DEPTHWISE_CONV_2D: 3,
    BuiltinOperator.ADD: 2,
    BuiltinOperator.CONCATENATION: 2,
    BuiltinOperator.RESHAPE: 1,
}
INPUT_RANGE = (-1.0, 1.0)
# Of the outputs only a part matters. A logit of 4 is a score of 0.98 and one of -4 is 0.02, while background reaches
# -21 and 10; box encodings beyond these occur only at anchors with no object (down to -81). Spending the 256 steps on
# the part that matters makes scores and boxes several times finer.
SCORE_RANGE = (-4.0, 4.0)
BOX_RANGE = (-10.0, 7.0)


def parameters(low, high):
    """Scale and zero point that map low..high, with 0 exactly, to -128..127."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = np.float32((high - low) / 255)
    return scale, int(np.clip(np.round(-128 - low / scale), -128, 127))


def quantization(scales, zero_points, axis=0):
    result = schema.QuantizationParametersT()
    result.scale, result.zeroPoint, result.quantizedDimension = list(scales), list(zero_points), axis
    return result


def spread(model, ranges, tensor, wanted):
    """Gives one range to a tensor and to all that it is reshaped or concatenated from: those only move bytes."""
    ranges[tensor] = wanted
    for operator in model.subgraphs[0].operators:
        moves = flat.code(model, operator) in (BuiltinOperator.RESHAPE, BuiltinOperator.CONCATENATION)
        if moves and tensor in operator.outputs:
            for source in operator.inputs:
                if source in ranges:
                    spread(model, ranges, source, wanted)


def convert_convolution(model, operator, input_scale, input_means):
    """Weights to int8, one scale for each output channel; biases to int32, with the mean rounding error taken out."""
    graph = model.subgraphs[0]
    weights, biases = graph.tensors[operator.inputs[1]], graph.tensors[operator.inputs[2]]
    exact, offset = flat.constant(model, weights), flat.constant(model, biases)
    depthwise = flat.code(model, operator) == BuiltinOperator.DEPTHWISE_CONV_2D
    axis = 3 if depthwise else 0
    others = tuple(i for i in range(4) if i != axis)
    # A channel of weights near zero would get a scale so fine that its bias did not fit 32 bits.
    finest = np.abs(offset) / (float(input_scale) * 2**28)
    scales = np.maximum(np.abs(exact).max(others) / 127, np.maximum(finest, 1e-12)).astype(np.float32)
    shape = [-1 if i == axis else 1 for i in range(4)]
    rounded = np.clip(np.round(exact / scales.reshape(shape)), -127, 127)
    if input_means is not None:
        # What the layer loses on an average input: without this, errors of one sign add up from layer to layer.
        lost = (exact - rounded * scales.reshape(shape)) * np.array(input_means)
        offset = offset + lost.sum(others)
    bias_scales = scales.astype(np.float64) * float(input_scale)
    weights.type, weights.buffer = TensorType.INT8, flat.add_buffer(model, rounded.astype(np.int8))
    weights.quantization = quantization(scales, [0] * len(scales), axis)
    biases.type, biases.buffer = TensorType.INT32, flat.add_buffer(model, np.round(offset / bias_scales).astype(np.int32))
    biases.quantization = quantization(bias_scales.astype(np.float32), [0] * len(scales))


def main():
    source, record, target = (pathlib.Path(argument) for argument in sys.argv[1:])
    model = flat.load_float32(source)
    graph = model.subgraphs[0]
    recorded = json.loads(record.read_text(encoding="utf-8"))
    calibration = recorded["tensors"]
    for tensors in equalize.groups(model):
        factors = recorded.get("factors", {}).get(graph.tensors[tensors[0]].name.decode())
        if factors:
            equalize.apply(model, tensors, np.array(factors))
    entries = {i: calibration.get(tensor.name.decode()) for i, tensor in enumerate(graph.tensors)}
    ranges = {i: tuple(entry["range"]) for i, entry in entries.items() if entry}
    ranges[int(graph.inputs[0])] = INPUT_RANGE
    for output in graph.outputs:
        spread(model, ranges, int(output), BOX_RANGE if graph.tensors[output].shape[-1] == 4 else SCORE_RANGE)

    scale = {}
    for i, (low, high) in ranges.items():
        scale[i], zero = parameters(low, high)
        graph.tensors[i].type = TensorType.INT8
        graph.tensors[i].quantization = quantization([scale[i]], [zero])
    for operator in graph.operators:
        if flat.code(model, operator) in (BuiltinOperator.CONV_2D, BuiltinOperator.DEPTHWISE_CONV_2D):
            read = int(operator.inputs[0])
            convert_convolution(model, operator, scale[read], entries[read] and entries[read]["means"])
    for entry in model.operatorCodes:
        kind = max(entry.builtinCode, entry.deprecatedBuiltinCode)
        entry.builtinCode = entry.deprecatedBuiltinCode = kind
        entry.version = VERSIONS[kind]

    model.description = recorded["description"]
    content = flat.pack(model)
    target.write_bytes(content)
    print(f"{target}: {len(content)} bytes, SHA-256 {hashlib.sha256(content).hexdigest()}")


main()
