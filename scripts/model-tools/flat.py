"""The published model as a graph of plain float32 operators, ready to be run, measured or rewritten."""

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema


def code(model, operator):
    """The operator's builtin code, whichever of its two fields holds it."""
    entry = model.operatorCodes[operator.opcodeIndex]
    return max(entry.builtinCode, entry.deprecatedBuiltinCode)


def load_float32(path):
    """Reads a model and folds its fp16 constants and their DEQUANTIZE operators into float32 constants."""
    with open(path, "rb") as file:
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(bytearray(file.read()), 0))
    graph = model.subgraphs[0]
    kept = []
    for operator in graph.operators:
        if code(model, operator) != schema.BuiltinOperator.DEQUANTIZE:
            kept.append(operator)
            continue
        constant = graph.tensors[operator.inputs[0]]
        halves = np.frombuffer(bytes(model.buffers[constant.buffer].data), np.float16)
        graph.tensors[operator.outputs[0]].buffer = add_buffer(model, halves.astype(np.float32))
    graph.operators = kept
    _drop_unused(model)
    return model


def constant(model, tensor):
    """The values of a float32 constant."""
    return np.frombuffer(bytes(model.buffers[tensor.buffer].data), np.float32).reshape(tensor.shape)


def add_buffer(model, values):
    """Appends a buffer with the array's bytes and returns its index."""
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(values.tobytes(), np.uint8)
    model.buffers.append(buffer)
    return len(model.buffers) - 1


def pack(model):
    """The model as the bytes of a file, every buffer inline and only those that a tensor uses."""
    used = [model.buffers[0]]
    places = {0: 0}
    for tensor in model.subgraphs[0].tensors:
        if tensor.buffer not in places:
            places[tensor.buffer] = len(used)
            used.append(model.buffers[tensor.buffer])
        tensor.buffer = places[tensor.buffer]
    model.buffers = used
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _drop_unused(model):
    """Removes tensors, operator codes, empty buffers and metadata that no operator needs."""
    graph = model.subgraphs[0]
    ends = set(graph.inputs) | set(graph.outputs)
    used = sorted(ends | {i for op in graph.operators for i in (*op.inputs, *op.outputs) if i >= 0})
    place = {old: new for new, old in enumerate(used)}
    place[-1] = -1
    for operator in graph.operators:
        operator.inputs = np.array([place[i] for i in operator.inputs], np.int32)
        operator.outputs = np.array([place[i] for i in operator.outputs], np.int32)
    graph.inputs = np.array([place[i] for i in graph.inputs], np.int32)
    graph.outputs = np.array([place[i] for i in graph.outputs], np.int32)
    graph.tensors = [graph.tensors[i] for i in used]
    for tensor in graph.tensors:
        if model.buffers[tensor.buffer].data is None:
            tensor.buffer = 0
    codes = sorted({op.opcodeIndex for op in graph.operators})
    for operator in graph.operators:
        operator.opcodeIndex = codes.index(operator.opcodeIndex)
    model.operatorCodes = [model.operatorCodes[i] for i in codes]
    model.metadata, model.metadataBuffer = [], None
