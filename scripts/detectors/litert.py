#!/usr/bin/env python3
"""A detector for cv-agent on LiteRT's Python package: an example, and a start for accelerators that it can delegate to.

    cv-agent --detector "exec:python3 litert.py MODEL.tflite LABELS.txt"

MODEL ends in TFLite_Detection_PostProcess, as EfficientDet-Lite and Coral's SSD models do. LABELS has one name a line,
the first for class 0. Needs PyPI's ai-edge-litert, numpy and pillow. For a Coral Edge TPU, give the interpreter
experimental_delegates=[load_delegate("libedgetpu.so.1")] and a model that edgetpu_compiler made.
"""
import io
import sys
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

import frames


def outputs(interpreter):
    """Boxes, classes, scores and count, by their shapes and, where these are alike, their order in the operator."""
    tensors = sorted(interpreter.get_output_details(), key=lambda output: output["name"])
    boxes = next(output for output in tensors if len(output["shape"]) == 3)
    count = next(output for output in tensors if output["shape"].size == 1 and len(output["shape"]) == 1)
    classes, scores = (output for output in tensors if len(output["shape"]) == 2)
    return [output["index"] for output in (boxes, classes, scores, count)]


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    model, labels = Path(sys.argv[1]), Path(sys.argv[2]).read_text().splitlines()
    interpreter = Interpreter(str(model))
    interpreter.allocate_tensors()
    entry = interpreter.get_input_details()[0]
    _, height, width, _ = entry["shape"]
    places = outputs(interpreter)
    frames.ready(model.stem, "ai-edge-litert", "CPU")
    for header, jpeg in frames.frames():
        picture = Image.open(io.BytesIO(jpeg)).convert("RGB").resize((width, height))
        pixels = np.asarray(picture)[np.newaxis]
        if entry["dtype"] != np.uint8:
            pixels = (pixels / 127.5 - 1).astype(np.float32)
        if entry["dtype"] == np.int8:
            pixels = np.clip(pixels * 127.5, -128, 127).astype(np.int8)
        interpreter.set_tensor(entry["index"], pixels)
        interpreter.invoke()
        boxes, classes, scores, count = (interpreter.get_tensor(place)[0] for place in places)
        rows = range(min(int(count), len(scores)))
        frames.answer(header, [(labels[int(classes[row])], min(scores[row], 1), boxes[row]) for row in rows])


if __name__ == "__main__":
    main()
