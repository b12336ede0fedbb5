"""Runs the model on the test pictures and writes what it finds as JSON.

The agent's detector is compared with this file, so no score may lie so near the threshold that another JPEG
decoder could move it to the other side.
"""

import json
import pathlib
import sys

import numpy as np
from PIL import Image

import ssd

MIN_SCORE = 0.5
CLEARANCE = 0.035  # the two engines' kernels round differently


def main():
    model, labels, folder, target = (pathlib.Path(argument) for argument in sys.argv[1:])
    detector = ssd.Detector(model, labels)
    pictures = []
    for path in sorted(folder.glob("*.jpg")):
        with Image.open(path) as file:
            picture = np.asarray(file.convert("RGB"))
        found = detector.objects(picture, MIN_SCORE - CLEARANCE)
        for item in found:
            if abs(item["score"] - MIN_SCORE) < CLEARANCE:
                sys.exit(f"error: {path.name}: {item['label']} at {item['score']:.3f} is too near {MIN_SCORE}")
        pictures.append({
            "file": path.name,
            "width": picture.shape[1],
            "height": picture.shape[0],
            "objects": [
                {"label": o["label"], "score": round(o["score"], 5), "box": [round(edge, 5) for edge in o["box"]]}
                for o in found
            ],
        })
    reference = {"model": model.name, "min_score": MIN_SCORE, "max_iou": ssd.MAX_IOU, "pictures": pictures}
    target.write_text(json.dumps(reference, indent=1) + "\n", encoding="utf-8")
    print(f"{target}: {len(pictures)} pictures, {sum(len(p['objects']) for p in pictures)} objects")


main()
