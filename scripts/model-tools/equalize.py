"""Gives the channels of the linear bottlenecks like ranges, so that one scale for all of them loses little.

MobileNet v2's blocks hand on tensors without an activation, summed along the residuals. A channel of such a tensor can
be made k times as large in all convolutions that write it, if those that read it divide by k: the model computes the
same. In 8 bits a tensor has one scale, and a channel with a tenth of the range of another has a tenth of the steps.
"""

import numpy as np
from ai_edge_litert.schema_py_generated import ActivationFunctionType, BuiltinOperator

import flat

# How much of the difference is taken away: 0 nothing, 1 all. What the channels gain the weights that read them lose.
STRENGTH = 0.7
MOST = 30.0  # a channel that never says much is made larger by at most this


def groups(model):
    """Sets of tensors that share their channels: what linear convolutions write, with the sums it goes into."""
    graph = model.subgraphs[0]
    group = {}
    for operator in graph.operators:
        kind, output = flat.code(model, operator), int(operator.outputs[0])
        if kind == BuiltinOperator.CONV_2D and operator.builtinOptions.fusedActivationFunction == ActivationFunctionType.NONE:
            group[output] = {output}
        elif kind == BuiltinOperator.ADD:
            joined = {output}.union(*(group.get(int(source), {int(source)}) for source in operator.inputs))
            for tensor in joined:
                group[tensor] = joined
    found = {min(tensors): sorted(tensors) for tensors in group.values()}.values()
    return [tensors for tensors in found if _is_closed(model, tensors)]


def _is_closed(model, tensors):
    """Whether linear convolutions and sums alone write the tensors, and convolutions and sums alone read them."""
    for operator in model.subgraphs[0].operators:
        kind = flat.code(model, operator)
        writes = int(operator.outputs[0]) in tensors
        reads = any(int(source) in tensors for source in operator.inputs)
        if kind == BuiltinOperator.ADD and writes == reads:
            continue
        if (writes or reads) and kind != BuiltinOperator.CONV_2D:
            return False
    return not set(tensors) & {int(output) for output in model.subgraphs[0].outputs}


def factors(spans):
    """What to multiply each channel by, whose greatest magnitudes are given."""
    spans = np.maximum(np.asarray(spans, np.float64), 1e-6)
    return np.minimum((spans.max() / spans) ** STRENGTH, MOST)


def apply(model, tensors, scale):
    """Multiplies the channels of a group."""
    graph = model.subgraphs[0]
    for operator in graph.operators:
        if flat.code(model, operator) != BuiltinOperator.CONV_2D:
            continue
        weights, biases = graph.tensors[operator.inputs[1]], graph.tensors[operator.inputs[2]]
        if int(operator.outputs[0]) in tensors:
            _replace(model, weights, flat.constant(model, weights) * scale[:, None, None, None])
            _replace(model, biases, flat.constant(model, biases) * scale)
        if int(operator.inputs[0]) in tensors:
            _replace(model, weights, flat.constant(model, weights) / scale)


def _replace(model, tensor, values):
    tensor.buffer = flat.add_buffer(model, values.astype(np.float32))
