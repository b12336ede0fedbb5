"""How far the int8 model agrees with the fp16 one, on crops that were not used to calibrate it.

Both models run in LiteRT through Python, and the int8 one also in the agent's two engines through
`cv-agent detect --json`, all on the same JPEG files.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

import numpy as np
from PIL import Image

import crops
import packages
import ssd

MODELS = pathlib.Path(__file__).resolve().parents[2] / "models"
LABELS = MODELS / "ssdlite_mobilenet_v2_coco.labels.txt"
INT8 = MODELS / "ssdlite_mobilenet_v2_coco_int8.tflite"
FP16 = pathlib.Path(os.environ["MODEL_TOOLS_CACHE"]) / "models" / "ssdlite_mobilenet_v2_coco_fp16.tflite"
SURE = 0.5
FOUND_AT_LEAST = 0.95
EXTRA_AT_MOST = 0.05


def write_crops(folder, count):
    """The first `count` crops, spread over all pictures, as JPEG files; those that are there stay."""
    marker = folder / f"{count}.json"
    if not marker.exists():
        folder.mkdir(parents=True, exist_ok=True)
        pictures = list(crops.test())
        names = []
        for i in np.linspace(0, len(pictures) - 1, min(count, len(pictures))).astype(int):
            names.append(f"{i:04}.jpg")
            pictures[i][1].save(folder / names[-1], "JPEG", quality=92)
        marker.write_text(json.dumps(names), encoding="utf-8")
    return [folder / name for name in json.loads(marker.read_text(encoding="utf-8"))]


def with_python(model, files):
    detector = ssd.Detector(model, LABELS)
    found = []
    for path in files:
        with Image.open(path) as file:
            found.append(detector.objects(np.asarray(file.convert("RGB"))))
    return found


def with_agent(agent, engine, files):
    command = [agent, "detect", "--json", "--engine", engine, "--model", INT8, "--labels", LABELS,
               "--min-score", str(ssd.MIN_SCORE), *files]
    result = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
    if result.returncode:
        sys.exit(f"error: {agent} detect --engine {engine} ended with status {result.returncode}")
    found = [json.loads(line) for line in result.stdout.splitlines()]
    wrong = {item["engine"] for item in found} - {{"litert": "LiteRT"}.get(engine, engine)}
    if wrong or len(found) != len(files):
        sys.exit(f"error: asked for {engine} on {len(files)} pictures, got {wrong or engine} on {len(found)}")
    return [item["objects"] for item in found]


def match(item, others):
    """The object of the same class that overlaps most, and its IoU, or None below 0.5."""
    same = [other for other in others if other["label"] == item["label"]]
    if not same:
        return None
    overlaps = ssd.iou(np.array(item["box"]), np.array([other["box"] for other in same]))
    best = int(np.argmax(overlaps))
    return (same[best], float(overlaps[best])) if overlaps[best] >= 0.5 else None


def compare(title, fp16, int8):
    """Prints both figures and how near scores and boxes are; returns whether the figures are met."""
    wanted = [match(item, other) for one, other in zip(fp16, int8) for item in one if item["score"] > SURE]
    scores = [item["score"] for one in fp16 for item in one if item["score"] > SURE]
    extra = [match(item, other) for other, one in zip(fp16, int8) for item in one if item["score"] > SURE]
    found = [pair for pair in wanted if pair]
    missed, unseen = len(wanted) - len(found), extra.count(None)
    differences = [abs(pair[0]["score"] - score) for pair, score in zip(wanted, scores) if pair]
    met = missed <= (1 - FOUND_AT_LEAST) * len(wanted) and unseen <= EXTRA_AT_MOST * len(extra)
    print(f"{title}: {len(found)} of fp16's {len(wanted)} objects above {SURE} found by int8 at {ssd.MIN_SCORE}"
          f" ({len(found) / len(wanted):.1%}, wanted {FOUND_AT_LEAST:.0%})")
    print(f"{title}: {unseen} of int8's {len(extra)} objects above {SURE} not seen by fp16 at {ssd.MIN_SCORE}"
          f" ({unseen / len(extra):.1%}, at most {EXTRA_AT_MOST:.0%})")
    print(f"{title}: scores differ by {statistics.mean(differences):.3f} on average, {max(differences):.3f} at most;"
          f" IoU {statistics.mean(pair[1] for pair in found):.3f} on average, {min(pair[1] for pair in found):.3f} at least")
    return met


def speed():
    for model in (FP16, INT8):
        for threads in (1, 2):
            interpreter = ssd.Detector(model, LABELS, threads).interpreter
            times = []
            for _ in range(100):
                start = time.perf_counter()
                interpreter.invoke()
                times.append(time.perf_counter() - start)
            times = sorted(times[10:])
            print(f"LiteRT, {model.stem}, {threads} thread(s): median {times[len(times) // 2] * 1e3:.1f} ms,"
                  f" best {times[0] * 1e3:.1f} ms")


def main():
    parser = argparse.ArgumentParser(prog="scripts/model-agreement", description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--crops", type=int, default=400, help="how many crops (default 400)")
    parser.add_argument("--agent", help="the cv-agent to run; without it only the Python package is used")
    parser.add_argument("--engines", default="litert,tflite", help="the agent's engines (default litert,tflite)")
    parser.add_argument("--speed", action="store_true", help="time invoke in LiteRT as well")
    settings = parser.parse_args()
    files = write_crops(packages.CACHE.parent / "test-crops", settings.crops)
    print(f"{len(files)} crops of pictures in {', '.join(crops.TEST)}")
    fp16 = with_python(FP16, files)
    met = [compare("ai-edge-litert", fp16, with_python(INT8, files))]
    if settings.agent:
        for engine in settings.engines.split(","):
            met.append(compare(f"cv-agent, {engine}", fp16, with_agent(settings.agent, engine, files)))
    if settings.speed:
        speed()
    sys.exit(0 if all(met) else 1)


main()
