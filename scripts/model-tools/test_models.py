"""Small models that find one object, by the colour of the picture, for the detector's tests.

Each averages the picture to one colour and gives three classes: red, green and blue, at three places (see ANCHORS).
A picture of pure red scores sigmoid(4) = 0.982 for red at the first place, and sigmoid(-2) or less for the others.
What differs is everything else: types, quantisation, output order, names, post-processing, labels.
"""

import io
import sys
import zipfile
from pathlib import Path

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import flexbuffers

SIZE = 32
CLASSES = 3
# ycenter, xcenter, height, width: left, middle and right.
ANCHORS = np.array([[0.5, 0.2, 0.4, 0.2], [0.5, 0.5, 0.4, 0.2], [0.5, 0.8, 0.4, 0.2]], np.float32)
LABELS = ["red", "green", "blue"]
TYPE = schema.TensorType
OPERATOR = schema.BuiltinOperator


class Graph:
    """A model in the making."""

    def __init__(self, description):
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.description = description
        self.model.operatorCodes, self.model.buffers = [], [schema.BufferT()]
        self.graph = schema.SubGraphT()
        self.graph.name = "main"
        self.graph.tensors, self.graph.operators = [], []
        self.model.subgraphs = [self.graph]

    def tensor(self, name, shape, kind=TYPE.FLOAT32, quantization=None, values=None):
        """Adds a tensor and returns its index; `quantization` is (scale, zero point)."""
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = name, np.array(shape, np.int32), kind, 0
        if quantization:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = np.array([quantization[0]], np.float32)
            tensor.quantization.zeroPoint = np.array([quantization[1]], np.int64)
        if values is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
            self.model.buffers.append(buffer)
            tensor.buffer = len(self.model.buffers) - 1
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def constant(self, name, values):
        kind = {"float32": TYPE.FLOAT32, "int32": TYPE.INT32}[str(values.dtype)]
        return self.tensor(name, values.shape, kind, values=values)

    def operator(self, code, inputs, outputs, options=None, kind=0, custom=None, custom_options=None):
        for index, known in enumerate(self.model.operatorCodes):
            if known.builtinCode == code and known.customCode == custom:
                break
        else:
            index = len(self.model.operatorCodes)
            known = schema.OperatorCodeT()
            known.builtinCode = known.deprecatedBuiltinCode = code
            known.customCode, known.version = custom, 1
            self.model.operatorCodes.append(known)
        operator = schema.OperatorT()
        operator.opcodeIndex = index
        operator.inputs, operator.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)
        operator.builtinOptionsType, operator.builtinOptions = kind, options
        if custom_options:
            operator.customOptions = np.frombuffer(custom_options, np.uint8)
        self.graph.operators.append(operator)

    def ends(self, inputs, outputs):
        self.graph.inputs, self.graph.outputs = np.array(inputs, np.int32), np.array(outputs, np.int32)

    def signature(self, inputs, outputs):
        """Names the ends, in an order of its own."""
        signature = schema.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = "serving_default", 0
        signature.inputs, signature.outputs = self._map(inputs), self._map(outputs)
        self.model.signatureDefs = [signature]

    @staticmethod
    def _map(names):
        entries = []
        for name, index in names:
            entry = schema.TensorMapT()
            entry.name, entry.tensorIndex = name, index
            entries.append(entry)
        return entries

    def bytes(self):
        builder = flatbuffers.Builder(4096)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def image(graph, kind=TYPE.FLOAT32, quantization=None, name="image"):
    """The input, and the tensor with the picture's mean colour as [1, 3] floats of -1 to 1."""
    entry = picture = graph.tensor(name, [1, SIZE, SIZE, 3], kind, quantization)
    if kind != TYPE.FLOAT32:
        picture = graph.tensor("picture", [1, SIZE, SIZE, 3])
        graph.operator(OPERATOR.DEQUANTIZE, [entry], [picture])
    return entry, mean_colour(graph, picture, SIZE)


def mean_colour(graph, picture, size):
    pooled = graph.tensor("pooled", [1, 1, 1, 3])
    options = schema.Pool2DOptionsT()
    options.padding, options.strideW, options.strideH = schema.Padding.VALID, size, size
    options.filterWidth, options.filterHeight, options.fusedActivationFunction = size, size, 0
    graph.operator(OPERATOR.AVERAGE_POOL_2D, [picture], [pooled], options, schema.BuiltinOptions.Pool2DOptions)
    return reshape(graph, pooled, [1, 3], "colour")


def reshape(graph, tensor, shape, name, output=None):
    output = graph.tensor(name, shape) if output is None else output
    sizes = graph.constant(name + "/shape", np.array(shape, np.int32))
    options = schema.ReshapeOptionsT()
    options.newShape = np.array(shape, np.int32)
    graph.operator(OPERATOR.RESHAPE, [tensor, sizes], [output], options, schema.BuiltinOptions.ReshapeOptions)
    return output


def layer(graph, colour, weights, bias, shape, name, output=None):
    """A fully connected layer on the colour, its result in the given shape."""
    flat = graph.tensor(name + "/flat", [1, len(bias)])
    inputs = [colour, graph.constant(name + "/weights", weights), graph.constant(name + "/bias", bias)]
    options = schema.FullyConnectedOptionsT()
    options.fusedActivationFunction = options.weightsFormat = 0
    options.keepNumDims = False
    graph.operator(OPERATOR.FULLY_CONNECTED, inputs, [flat], options, schema.BuiltinOptions.FullyConnectedOptions)
    return reshape(graph, flat, shape, name, output)


def class_weights(anchors, columns, first):
    """Logits: anchor 0 sees red, 1 green, 2 blue; the others and the background see nothing."""
    weights, bias = np.zeros((anchors, columns, 3), np.float32), np.full((anchors, columns), -8, np.float32)
    for index in range(CLASSES):
        weights[index, first + index] = -1
        weights[index, first + index, index] = 2
        bias[index, first + index] = 0
    return weights.reshape(-1, 3), bias.reshape(-1)


def heads(graph, colour, anchors=CLASSES, columns=CLASSES + 1, first=1, names=("boxes", "classes"), outputs=(None, None)):
    """Box encodings of 0, which mean the anchors themselves, and class logits."""
    weights, bias = np.zeros((anchors * 4, 3), np.float32), np.zeros(anchors * 4, np.float32)
    boxes = layer(graph, colour, weights, bias, [1, anchors, 4], names[0], outputs[0])
    weights, bias = class_weights(anchors, columns, first)
    return boxes, layer(graph, colour, weights, bias, [1, anchors, columns], names[1], outputs[1])


def logistic(graph, tensor, shape, name):
    output = graph.tensor(name, shape)
    graph.operator(OPERATOR.LOGISTIC, [tensor], [output])
    return output


def post_process(graph, boxes, scores, names, detections=5, classes=CLASSES):
    """Ends the model; returns boxes, classes, scores and count."""
    outputs = [
        graph.tensor(names[0], [1, detections, 4]),
        graph.tensor(names[1], [1, detections]),
        graph.tensor(names[2], [1, detections]),
        graph.tensor(names[3], [1]),
    ]
    options = flexbuffers.Dumps({
        "max_detections": detections, "max_classes_per_detection": 1, "detections_per_class": 100,
        "use_regular_nms": False, "nms_score_threshold": 0.05, "nms_iou_threshold": 0.5, "num_classes": classes,
        "y_scale": 10.0, "x_scale": 10.0, "h_scale": 5.0, "w_scale": 5.0,
    })
    graph.operator(
        OPERATOR.CUSTOM, [boxes, scores, graph.constant("anchors", ANCHORS)], outputs,
        custom="TFLite_Detection_PostProcess", custom_options=bytes(options),
    )
    return outputs


OPERATOR_NAMES = ["TFLite_Detection_PostProcess" + end for end in ("", ":1", ":2", ":3")]
CALL_NAMES = [f"StatefulPartitionedCall:{i}" for i in (1, 3, 0, 2)]


def post_processed(description, kind, quantization, order, names, signature=None):
    graph = Graph(description)
    entry, colour = image(graph, kind, quantization, "normalized_input_image_tensor")
    boxes, classes = heads(graph, colour)
    scores = logistic(graph, classes, [1, CLASSES, CLASSES + 1], "scores")
    outputs = post_process(graph, boxes, scores, names)
    graph.ends([entry], [outputs[i] for i in order])
    if signature:
        graph.signature([("image", entry)], [(name, outputs[i]) for name, i in signature])
    return graph


def post_process_uint8():
    """As COCO SSD MobileNet v1 comes: uint8 in, the operator's own order and names."""
    return post_processed("uint8 SSD", TYPE.UINT8, (1 / 127.5, 128), (0, 1, 2, 3), OPERATOR_NAMES).bytes()


def post_process_unshaped():
    """As the oldest exports come: the outputs' shapes are only known when the model runs."""
    graph = post_processed("SSD without shapes", TYPE.UINT8, (1 / 127.5, 128), (0, 1, 2, 3), OPERATOR_NAMES)
    for index in graph.graph.outputs:
        graph.graph.tensors[index].shape = None
    return graph.bytes()


def post_process_int8():
    """int8 in, the order turned round."""
    return post_processed("int8 SSD", TYPE.INT8, (1 / 127.5, 0), (3, 2, 1, 0), OPERATOR_NAMES).bytes()


def post_process_float():
    """As TensorFlow 2 exports: names that say nothing, mixed order, and a signature in yet another one."""
    signature = [("output_0", 3), ("output_1", 2), ("output_2", 1), ("output_3", 0)]
    return post_processed("float SSD", TYPE.FLOAT32, None, (2, 0, 3, 1), CALL_NAMES, signature).bytes()


def named_outputs():
    """Four outputs that no known operator makes, to be told by their names and shapes."""
    graph = Graph("detections by name")
    entry, colour = image(graph)
    weights, bias = class_weights(CLASSES, CLASSES, 0)
    keep = np.arange(CLASSES) * (CLASSES + 1)  # the class that each anchor sees
    logits = layer(graph, colour, weights[keep], bias[keep], [1, CLASSES], "logits")
    scores = logistic(graph, logits, [1, CLASSES], "detection_scores")
    zeros = np.zeros((CLASSES * 4, 3), np.float32)
    half = ANCHORS[:, 2:] / 2
    corners = np.concatenate([ANCHORS[:, :2] - half, ANCHORS[:, :2] + half], 1)
    boxes = layer(graph, colour, zeros, corners.reshape(-1), [1, CLASSES, 4], "detection_boxes")
    indices = np.arange(CLASSES, dtype=np.float32)
    classes = layer(graph, colour, zeros[:CLASSES], indices, [1, CLASSES], "detection_classes")
    count = layer(graph, colour, zeros[:1], np.array([CLASSES], np.float32), [1], "num_detections")
    graph.ends([entry], [scores, classes, count, boxes])
    return graph.bytes()


def efficientdet():
    """As Model Maker makes EfficientDet-Lite: uint8, metadata with normalisation, names and packed labels."""
    graph = post_processed("", TYPE.UINT8, (1 / 128, 127), (2, 0, 3, 1), CALL_NAMES)
    names = ["score", "location", "number of detections", "category"]
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(metadata("EfficientDet-like", 127.0, 128.0, names, "labelmap.txt"), np.uint8)
    graph.model.buffers.append(buffer)
    entry = schema.MetadataT()
    entry.name, entry.buffer = "TFLITE_METADATA", len(graph.model.buffers) - 1
    graph.model.metadata = [entry]
    return graph.bytes() + archive({"labelmap.txt": "\n".join(LABELS) + "\n"})


def raw_int8():
    """Raw heads in int8 with the usual anchors: two by two cells of three in the first layer, then five of six."""
    anchors = 2 * 2 * 3 + 5 * 6
    graph = Graph("raw int8 heads")
    entry, colour = image(graph, TYPE.INT8, (1 / 127.5, 0))
    outputs = []
    for tensor, name, quantization in zip(
        heads(graph, colour, anchors), ("raw_outputs/box_encodings", "raw_outputs/class_predictions"), ((0.1, 3), (0.1, 40))
    ):
        shape = graph.graph.tensors[tensor].shape
        output = graph.tensor(name, shape, TYPE.INT8, quantization)
        graph.operator(OPERATOR.QUANTIZE, [tensor], [output])
        outputs.append(output)
    graph.ends([entry], outputs)
    return graph.bytes()


def raw_with_anchors():
    """Raw heads with scores instead of logits, no background, classes first, and its own anchors inside."""
    graph = Graph("raw float heads with anchors")
    entry, colour = image(graph)
    boxes, classes = heads(graph, colour, columns=CLASSES, first=0, names=("box", "logits"))
    scores = logistic(graph, classes, [1, CLASSES, CLASSES], "class")
    graph.constant("anchors", ANCHORS)
    graph.ends([entry], [scores, boxes])
    return graph.bytes()


def raw_uint8():
    """Raw heads in uint8, with dimensions of 1 between, as older exports have them."""
    graph = Graph("raw uint8 heads")
    entry, colour = image(graph, TYPE.UINT8, (1 / 127.5, 128))
    boxes, classes = heads(graph, colour)
    squeezed = []
    for tensor, shape, name, quantization in (
        (boxes, [1, CLASSES, 1, 4], "concat", (0.05, 100)), (classes, [1, CLASSES, CLASSES + 1], "concat_1", (0.1, 128))
    ):
        shaped = reshape(graph, tensor, shape, name + "/float")
        output = graph.tensor(name, shape, TYPE.UINT8, quantization)
        graph.operator(OPERATOR.QUANTIZE, [shaped], [output])
        squeezed.append(output)
    graph.constant("anchors", ANCHORS)
    graph.ends([entry], squeezed)
    return graph.bytes()


def resize(graph, picture, size):
    output = graph.tensor("resized", [1, size, size, 3])
    sizes = graph.constant("resized/size", np.array([size, size], np.int32))
    options = schema.ResizeNearestNeighborOptionsT()
    options.alignCorners = options.halfPixelCenters = False
    kind = schema.BuiltinOptions.ResizeNearestNeighborOptions
    graph.operator(OPERATOR.RESIZE_NEAREST_NEIGHBOR, [picture, sizes], [output], options, kind)
    return output


def operators():
    """Operators of MobileNet v3 and of plain conversions: what they do to the colour is undone by the next one."""
    graph = Graph("ADD_N, HARD_SWISH, RESIZE_NEAREST_NEIGHBOR, PACK and UNPACK")
    entry = graph.tensor("image", [1, SIZE, SIZE, 3])
    colour = mean_colour(graph, resize(graph, entry, SIZE // 2), SIZE // 2)
    shift = [graph.constant(name, np.full((1, 3), value, np.float32)) for name, value in (("up", 2), ("down", -4))]
    high = graph.tensor("high", [1, 3])
    graph.operator(OPERATOR.ADD_N, [colour, shift[0], shift[0]], [high], schema.AddNOptionsT(), schema.BuiltinOptions.AddNOptions)
    swish = graph.tensor("swish", [1, 3])  # from 3 on it changes nothing
    graph.operator(OPERATOR.HARD_SWISH, [high], [swish], schema.HardSwishOptionsT(), schema.BuiltinOptions.HardSwishOptions)
    low = graph.tensor("low", [1, 3])
    graph.operator(OPERATOR.ADD_N, [swish, shift[1]], [low], schema.AddNOptionsT(), schema.BuiltinOptions.AddNOptions)
    parts = [graph.tensor(f"part {i}", [1]) for i in range(3)]
    options = schema.UnpackOptionsT()
    options.num, options.axis = 3, 1
    graph.operator(OPERATOR.UNPACK, [low], parts, options, schema.BuiltinOptions.UnpackOptions)
    packed = graph.tensor("packed", [1, 3])
    options = schema.PackOptionsT()
    options.valuesCount, options.axis = 3, 1
    graph.operator(OPERATOR.PACK, parts, [packed], options, schema.BuiltinOptions.PackOptions)
    boxes, classes = heads(graph, packed)
    scores = logistic(graph, classes, [1, CLASSES, CLASSES + 1], "scores")
    graph.ends([entry], post_process(graph, boxes, scores, OPERATOR_NAMES))
    return graph.bytes()


def coco_ids():
    """90 classes with the ids of COCO: red, green and blue are 1, 13 and 90, as COCO's lists of 80 names have them."""
    graph = Graph("COCO's ids")
    entry, colour = image(graph, TYPE.UINT8, (1 / 127.5, 128))
    weights, bias = np.zeros((CLASSES, 91, 3), np.float32), np.full((CLASSES, 91), -8, np.float32)
    for index, column in enumerate((1, 13, 90)):
        weights[index, column], bias[index, column] = -1, 0
        weights[index, column, index] = 2
    zeros = np.zeros((CLASSES * 4, 3), np.float32)
    boxes = layer(graph, colour, zeros, np.zeros(CLASSES * 4, np.float32), [1, CLASSES, 4], "boxes")
    classes = layer(graph, colour, weights.reshape(-1, 3), bias.reshape(-1), [1, CLASSES, 91], "classes")
    scores = logistic(graph, classes, [1, CLASSES, 91], "scores")
    graph.ends([entry], post_process(graph, boxes, scores, OPERATOR_NAMES, classes=90))
    return graph.bytes()


def without_a_rule():
    """An operator that the detector has no rule for: GATHER_ND, here with constant places."""
    graph = Graph("GATHER_ND")
    entry, colour = image(graph)
    places = graph.constant("places", np.array([[[0, 0], [0, 1], [0, 2]]], np.int32))
    gathered = graph.tensor("gathered", [1, 3])
    graph.operator(OPERATOR.GATHER_ND, [colour, places], [gathered], schema.GatherNdOptionsT(), schema.BuiltinOptions.GatherNdOptions)
    boxes, classes = heads(graph, gathered)
    scores = logistic(graph, classes, [1, CLASSES, CLASSES + 1], "scores")
    graph.ends([entry], post_process(graph, boxes, scores, OPERATOR_NAMES))
    return graph.bytes()


def metadata(name, mean, deviation, outputs, labels):
    """TensorFlow Lite's model metadata, as far as it matters here, written by its field numbers."""
    builder = flatbuffers.Builder(1024)

    def table(fields):
        """`fields` maps a field's number to (what writes it, value)."""
        builder.StartObject(max(fields, default=-1) + 1)
        for slot, (kind, value) in sorted(fields.items()):
            {"offset": lambda: builder.PrependUOffsetTRelativeSlot(slot, value, 0),
             "byte": lambda: builder.PrependInt8Slot(slot, value, 0)}[kind]()
        return builder.EndObject()

    def vector(offsets):
        builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            builder.PrependUOffsetTRelative(offset)
        return builder.EndVector()

    def floats(*values):
        return builder.CreateNumpyVector(np.array(values, np.float32))

    means, deviations = floats(mean), floats(deviation)
    options = table({0: ("offset", means), 1: ("offset", deviations)})
    unit = table({0: ("byte", 1), 1: ("offset", options)})
    units, image_name = vector([unit]), builder.CreateString("image")
    inputs = vector([table({0: ("offset", image_name), 4: ("offset", units)})])
    described = []
    for output in outputs:
        fields = {0: ("offset", builder.CreateString(output))}
        if output == "category":
            file = table({0: ("offset", builder.CreateString(labels)), 2: ("byte", 3)})
            fields[6] = ("offset", vector([file]))
        described.append(table(fields))
    graph = table({2: ("offset", inputs), 3: ("offset", vector(described))})
    graphs, model_name = vector([graph]), builder.CreateString(name)
    builder.Finish(table({0: ("offset", model_name), 3: ("offset", graphs)}), b"M001")
    return bytes(builder.Output())


def archive(files):
    """A zip archive that is the same at any time of day."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        for name, text in files.items():
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            packed.writestr(entry, text)
    return out.getvalue()


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    models = [
        post_process_uint8, post_process_unshaped, post_process_int8, post_process_float, named_outputs,
        efficientdet, raw_int8, raw_with_anchors, raw_uint8, operators, coco_ids, without_a_rule,
    ]
    for make in models:
        (folder / f"{make.__name__}.tflite").write_bytes(make())
    (folder / "background_first.txt").write_text("\n".join(["???", *LABELS]) + "\n")
    (folder / "numbered.txt").write_text("".join(f"{i}  {label}\n" for i, label in enumerate(LABELS)))
    (folder / "list.json").write_text('["red", "green", "blue"]\n')


if __name__ == "__main__":
    main()
