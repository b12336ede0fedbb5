"""Prints the processor time in ms that the tutorial's way takes per picture for everything but inference.

The tutorial's way is OpenCV for the picture and the ai-edge-litert package for the model, as in
tests/tutorial/peers/ssd.py. Median of many pictures. OpenCV is kept to one thread, so that all of its work is seen: the
kernel tells the time of other threads too coarsely for parts of a picture, and sharing the work would only add to it.
"""

import statistics
import sys
import time
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests/tutorial/peers"))
from ssd import Detector  # noqa: E402

ROUNDS, WARM_UP = 300, 20


def main():
    model, labels, picture = sys.argv[1:]
    cv2.setNumThreads(1)
    detector = Detector(model, labels, threads=2)
    jpeg = np.frombuffer(Path(picture).read_bytes(), np.uint8)
    inside = 0.0
    invoke = detector._net.invoke

    def timed():
        nonlocal inside
        started = time.thread_time()
        invoke()
        inside += time.thread_time() - started

    detector._net.invoke = timed
    times = []
    for _ in range(WARM_UP + ROUNDS):
        inside = 0.0
        started = time.thread_time()
        objects, _ = detector.detect(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), 0.3)
        times.append(time.thread_time() - started - inside)
        assert objects
    print(f"{statistics.median(times[WARM_UP:]) * 1000:.2f}")


if __name__ == "__main__":
    main()
