"""SSD MobileNetV2 with raw outputs on LiteRT: picture in, labelled boxes out."""

import time
from pathlib import Path

import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter


def anchors():
    """[1917, 4]: ycenter, xcenter, height, width of every anchor, as fractions of the picture."""
    cells = [19, 10, 5, 3, 2, 1]
    scales = [0.2 + 0.15 * layer for layer in range(6)] + [1.0]
    rows = []
    for layer, count in enumerate(cells):
        if layer == 0:
            shapes = [(0.1, 1.0), (0.2, 2.0), (0.2, 0.5)]
        else:
            shapes = [(scales[layer], ratio) for ratio in (1.0, 2.0, 0.5, 3.0, 1 / 3)]
            shapes.append((np.sqrt(scales[layer] * scales[layer + 1]), 1.0))
        for y in range(count):
            for x in range(count):
                for scale, ratio in shapes:
                    root = np.sqrt(ratio)
                    rows.append(((y + 0.5) / count, (x + 0.5) / count, scale / root, scale * root))
    return np.array(rows, dtype=np.float32)


class Detector:
    """One model, one set of labels (line 0 is the background)."""

    def __init__(self, model, labels, threads=2):
        self.name = Path(model).stem
        self.engine = "LiteRT"
        self.accelerator = "CPU"
        self.labels = Path(labels).read_text(encoding="utf-8").splitlines()
        self._net = Interpreter(model_path=str(model), num_threads=threads)
        self._net.allocate_tensors()
        self._input = self._net.get_input_details()[0]
        outputs = {tuple(d["shape"])[-1]: d for d in self._net.get_output_details()}
        self._boxes, self._classes = outputs.pop(4), outputs.popitem()[1]
        self._anchors = anchors()

    def _output(self, detail):
        values = self._net.get_tensor(detail["index"])[0]
        if values.dtype == np.float32:
            return values
        scale, zero_point = detail["quantization"]
        return (values.astype(np.float32) - zero_point) * scale

    def detect(self, picture, min_score=0.5):
        """([(label, score, (x, y, width, height) in pixels)], seconds of inference), best first."""
        height, width = picture.shape[:2]
        rgb = cv2.cvtColor(cv2.resize(picture, (300, 300)), cv2.COLOR_BGR2RGB)
        tensor = (rgb.astype(np.float32) - 127.5) / 127.5
        if self._input["dtype"] != np.float32:
            scale, zero_point = self._input["quantization"]
            info = np.iinfo(self._input["dtype"])
            tensor = np.clip(np.round(tensor / scale + zero_point), info.min, info.max).astype(self._input["dtype"])
        self._net.set_tensor(self._input["index"], tensor[None])
        started = time.perf_counter()
        self._net.invoke()
        seconds = time.perf_counter() - started
        scores = 1 / (1 + np.exp(-self._output(self._classes)[:, 1:]))
        best = scores.argmax(axis=1)
        confidence = scores.max(axis=1)
        found = np.flatnonzero(confidence >= min_score)
        a, code = self._anchors[found], self._output(self._boxes)[found]
        centre_y, centre_x = code[:, 0] / 10 * a[:, 2] + a[:, 0], code[:, 1] / 10 * a[:, 3] + a[:, 1]
        h, w = np.exp(code[:, 2] / 5) * a[:, 2], np.exp(code[:, 3] / 5) * a[:, 3]
        boxes = np.stack([(centre_x - w / 2) * width, (centre_y - h / 2) * height, w * width, h * height], axis=1)
        kept = cv2.dnn.NMSBoxesBatched(boxes.tolist(), confidence[found].tolist(), best[found].tolist(), min_score, 0.5)
        rows = [(self.labels[best[found[i]] + 1], float(confidence[found[i]]), tuple(boxes[i])) for i in kept]
        return sorted(rows, key=lambda row: -row[1]), seconds
