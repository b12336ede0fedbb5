"""Compares `cv-agent detect --json` on standard input with other results.

    cv-agent detect --json --min-score 0.4 PICTURE... | compare.py EXPECTED

EXPECTED is crates/detect/tests/fixtures/reference.json, or a .jsonl file with lines of `cv-agent detect --json`. An expected
object above 0.5 must be found with the same label, its box at IoU over 0.9 and its score within 0.05; nothing else
above 0.5 may be found. In lines of an int8 model IoU over 0.8 is enough: its scores have 256 steps, so neighbouring
anchors often tie, and either one's box may win on another processor.
"""
import json
import os
import sys

SURE, MIN_IOU, MIN_IOU_INT8, MAX_SCORE_DIFFERENCE = 0.5, 0.9, 0.8, 0.05


def iou(a, b):
    """Intersection over union of two [ymin, xmin, ymax, xmax] boxes."""
    height = min(a[2], b[2]) - max(a[0], b[0])
    width = min(a[3], b[3]) - max(a[1], b[1])
    both = max(0.0, height) * max(0.0, width)
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def same(a, b, min_iou):
    return (a["label"] == b["label"] and iou(a["box"], b["box"]) > min_iou
            and abs(a["score"] - b["score"]) <= MAX_SCORE_DIFFERENCE)


def expected_objects(path):
    """Objects by the name of their picture."""
    with open(path) as f:
        pictures = [json.loads(line) for line in f] if path.endswith(".jsonl") else json.load(f)["pictures"]
    return {os.path.basename(picture["file"]): picture["objects"] for picture in pictures}


def main():
    reference = expected_objects(sys.argv[1])
    wrong = pictures = 0
    for line in sys.stdin:
        found = json.loads(line)
        pictures += 1
        name = os.path.basename(found["file"])
        expected = reference[name]
        min_iou = MIN_IOU_INT8 if found["model"].endswith("_int8") else MIN_IOU
        missing = [o for o in expected if o["score"] > SURE and not any(same(o, other, min_iou) for other in found["objects"])]
        extra = [o for o in found["objects"] if o["score"] > SURE and not any(same(o, other, min_iou) for other in expected)]
        print(f"{name}: {found['engine']}, {found['infer_ms']:.0f} ms, "
              + (", ".join(f"{o['label']} {o['score']:.2f}" for o in found["objects"]) or "nothing"), flush=True)
        for what, objects in (("missing", missing), ("unexpected", extra)):
            for o in objects:
                wrong += 1
                print(f"  {what}: {o}")
    print(f"{pictures} pictures, {wrong} differences")
    sys.exit(1 if wrong or not pictures else 0)


if __name__ == "__main__":
    main()
