"""The pipe between cv-agent and a detector of one's own, as docs/detector-exec.md describes it.

    ready(model, engine, accelerator)
    for header, jpeg in frames():
        answer(header, [(label, score, (ymin, xmin, ymax, xmax)), ...])
"""
import json
import os
import sys

# Libraries like to print to standard output, where only answers belong: it goes to the log instead.
_answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
os.dup2(2, 1)


def _write(message):
    _answers.write(json.dumps(message) + "\n")
    _answers.flush()


def ready(model, engine, accelerator=""):
    """Tells the agent that frames may come, and what it shows about the detector."""
    _write({"model": model, "engine": engine, "accelerator": accelerator})


def frames():
    """Yields each frame's header and JPEG; ends when the agent does."""
    pipe = sys.stdin.buffer
    while line := pipe.readline():
        header = json.loads(line)
        jpeg = pipe.read(header["bytes"])
        if len(jpeg) < header["bytes"]:
            return
        yield header, jpeg


def answer(header, objects):
    """Answers a frame; box corners are fractions of the picture."""
    found = [{"label": label, "score": float(score), "box": [float(corner) for corner in box]} for label, score, box in objects]
    _write({"seq": header["seq"], "objects": found})
