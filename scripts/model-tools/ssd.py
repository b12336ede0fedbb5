"""The detector in plain numpy: resize, normalise, anchors, decoding, non-maximum suppression.

This is the rule that the agent's detector is compared with, so it is written to be read, not to be fast.
Boxes are [ymin, xmin, ymax, xmax], fractions of the picture.
"""

import numpy as np

SIZE = 300
MIN_SCORE = 0.4
MAX_IOU = 0.5


def resize(picture, height=SIZE, width=SIZE):
    """Stretches uint8 [h, w, 3] to float32 [height, width, 3], still 0..255 and not rounded.

    Bilinear with half-pixel centres and no anti-aliasing: output pixel i looks at (i + 0.5) * in / out - 0.5
    in the source, clamped to the first and last pixel, and mixes the two pixels around that place.
    """
    def taps(inside, outside):
        at = (np.arange(outside, dtype=np.float32) + np.float32(0.5)) * np.float32(inside / outside) - np.float32(0.5)
        at = np.clip(at, 0, inside - 1)
        low = np.floor(at).astype(np.int64)
        return low, np.minimum(low + 1, inside - 1), (at - low).astype(np.float32)

    top, bottom, down = taps(picture.shape[0], height)
    left, right, across = taps(picture.shape[1], width)
    source = picture.astype(np.float32)
    across, down = across[None, :, None], down[:, None, None]
    upper = source[top][:, left] * (1 - across) + source[top][:, right] * across
    lower = source[bottom][:, left] * (1 - across) + source[bottom][:, right] * across
    return upper * (1 - down) + lower * down


def normalise(resized):
    """0..255 to the model's -1..1."""
    return (resized - np.float32(127.5)) / np.float32(127.5)


def anchors():
    """[1917, 4] of ycenter, xcenter, height, width, in the order of the model's outputs."""
    cells = [19, 10, 5, 3, 2, 1]
    scales = [0.2 + (0.95 - 0.2) * i / 5 for i in range(6)] + [1.0]
    rows = []
    for layer, side in enumerate(cells):
        scale = scales[layer]
        if layer == 0:
            shapes = [(0.1, 1.0), (scale, 2.0), (scale, 0.5)]
        else:
            shapes = [(scale, ratio) for ratio in (1.0, 2.0, 0.5, 3.0, 1 / 3)]
            shapes.append(((scale * scales[layer + 1]) ** 0.5, 1.0))
        for row in range(side):
            for column in range(side):
                for size, ratio in shapes:
                    rows.append([(row + 0.5) / side, (column + 0.5) / side, size / ratio ** 0.5, size * ratio ** 0.5])
    return np.array(rows, np.float32)


ANCHORS = anchors()


def decode_boxes(encodings):
    """[1917, 4] raw box encodings to corners, clamped to the picture."""
    y = encodings[:, 0] / 10 * ANCHORS[:, 2] + ANCHORS[:, 0]
    x = encodings[:, 1] / 10 * ANCHORS[:, 3] + ANCHORS[:, 1]
    half_h = np.exp(encodings[:, 2] / 5) * ANCHORS[:, 2] / 2
    half_w = np.exp(encodings[:, 3] / 5) * ANCHORS[:, 3] / 2
    return np.clip(np.stack([y - half_h, x - half_w, y + half_h, x + half_w], 1), 0, 1)


def iou(one, others):
    """Intersection over union of one box with [n, 4] boxes."""
    low = np.maximum(one[:2], others[:, :2])
    high = np.minimum(one[2:], others[:, 2:])
    shared = np.prod(np.maximum(high - low, 0), 1)
    area = np.prod(one[2:] - one[:2]) + np.prod(others[:, 2:] - others[:, :2], 1) - shared
    return np.where(area > 0, shared / np.where(area > 0, area, 1), 0)


def objects(encodings, logits, labels, min_score=MIN_SCORE):
    """What the raw outputs say: a list of {label, score, box}, highest score first.

    Every class but 0 (background) on its own: scores above `min_score`, highest first (the earlier anchor on a
    tie), each kept unless it overlaps a kept one of its class by an IoU above MAX_IOU.
    """
    boxes = decode_boxes(encodings)
    scores = 1 / (1 + np.exp(-logits.astype(np.float32)))
    found = []
    for index in range(1, scores.shape[1]):
        kept = []
        candidates = np.flatnonzero(scores[:, index] > min_score)
        for anchor in candidates[np.argsort(-scores[candidates, index], kind="stable")]:
            if not kept or iou(boxes[anchor], boxes[kept]).max() <= MAX_IOU:
                kept.append(anchor)
        found += [{"label": labels[index], "score": float(scores[a, index]), "box": boxes[a].tolist()} for a in kept]
    return sorted(found, key=lambda item: -item["score"])


class Detector:
    """A model in LiteRT, with either float32 or int8 input and outputs."""

    def __init__(self, model, labels, threads=2):
        from ai_edge_litert.interpreter import Interpreter

        self.interpreter = Interpreter(model_path=str(model), num_threads=threads)
        self.interpreter.allocate_tensors()
        self.input = self.interpreter.get_input_details()[0]
        outputs = self.interpreter.get_output_details()
        self.boxes = next(o for o in outputs if o["shape"][-1] == 4)
        self.classes = next(o for o in outputs if o["shape"][-1] != 4)
        with open(labels, encoding="utf-8") as lines:
            self.labels = lines.read().splitlines()

    def raw(self, picture):
        """The box encodings and class logits for a uint8 [h, w, 3] RGB picture."""
        values = normalise(resize(picture))
        scale, zero = self.input["quantization"]
        if scale:
            values = np.clip(np.round(values / scale) + zero, -128, 127).astype(np.int8)
        self.interpreter.set_tensor(self.input["index"], values[None])
        self.interpreter.invoke()
        return self._output(self.boxes), self._output(self.classes)

    def _output(self, details):
        values = self.interpreter.get_tensor(details["index"])[0].astype(np.float32)
        scale, zero = details["quantization"]
        return (values - zero) * np.float32(scale) if scale else values

    def objects(self, picture, min_score=MIN_SCORE):
        return objects(*self.raw(picture), self.labels, min_score)
