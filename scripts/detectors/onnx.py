#!/usr/bin/env python3
"""A detector for cv-agent on ONNX Runtime: an example, and a start for the accelerators of its execution providers.

    cv-agent --detector "exec:python3 onnx.py MODEL.onnx LABELS.txt"

MODEL takes [1, 3, height, width] floats of 0 to 1 in the order red, green, blue, and gives boxes [1, N, 4] (ymin, xmin,
ymax, xmax as fractions), classes [1, N] and scores [1, N] by these names, after suppression. LABELS has one name a line,
the first for class 0. Needs PyPI's onnxruntime, numpy and pillow. For CUDA, TensorRT or others, install the build of
ONNX Runtime that has their provider: the first available one is taken.
"""
import io
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

import frames


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    model, labels = Path(sys.argv[1]), Path(sys.argv[2]).read_text().splitlines()
    session = onnxruntime.InferenceSession(str(model), providers=onnxruntime.get_available_providers())
    entry = session.get_inputs()[0]
    _, _, height, width = entry.shape
    accelerator = session.get_providers()[0].removesuffix("ExecutionProvider")
    frames.ready(model.stem, f"ONNX Runtime {onnxruntime.__version__}", accelerator)
    for header, jpeg in frames.frames():
        picture = Image.open(io.BytesIO(jpeg)).convert("RGB").resize((width, height))
        pixels = np.asarray(picture, np.float32).transpose(2, 0, 1)[np.newaxis] / 255
        boxes, classes, scores = session.run(["boxes", "classes", "scores"], {entry.name: pixels})
        found = zip(classes[0].astype(int), scores[0], boxes[0])
        frames.answer(header, [(labels[index], score, box) for index, score, box in found])


if __name__ == "__main__":
    main()
