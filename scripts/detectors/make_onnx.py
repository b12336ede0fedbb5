#!/usr/bin/env python3
"""Makes a small ONNX model that finds one object by the colour of the picture, to try the example with.

    make_onnx.py MODEL.onnx

Red is found on the left, green in the middle, blue on the right; the class is 0, 1 or 2. Needs PyPI's onnx and numpy.
"""
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# ymin, xmin, ymax, xmax.
BOXES = np.array([[[0.3, 0.1, 0.7, 0.3], [0.3, 0.4, 0.7, 0.6], [0.3, 0.7, 0.7, 0.9]]], np.float32)


def model():
    # Of a colour with one channel full and the others empty, that channel scores sigmoid(4), the others sigmoid(-2).
    weights = np.full((3, 3), -2, np.float32) + 6 * np.eye(3, dtype=np.float32)
    constants = {
        "all": BOXES, "indices": np.array([[0, 1, 2]], np.int64), "weights": weights, "axes": np.array([2, 3], np.int64),
    }
    nodes = [
        helper.make_node("ReduceMean", ["image", "axes"], ["colour"], keepdims=0),
        helper.make_node("MatMul", ["colour", "weights"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["scores"]),
        helper.make_node("Identity", ["all"], ["boxes"]),
        helper.make_node("Identity", ["indices"], ["classes"]),
    ]
    graph = helper.make_graph(
        nodes, "colours",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 32, 32])],
        [
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, [1, 3, 4]),
            helper.make_tensor_value_info("classes", TensorProto.INT64, [1, 3]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 3]),
        ],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    made.ir_version = 10
    onnx.checker.check_model(made)
    return made


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    onnx.save(model(), sys.argv[1])
