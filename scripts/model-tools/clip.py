"""Makes the demo clip: three photographs on a belt that passes the camera, an endless loop.

The photographs are CC0 or in the public domain (see NOTICE) and lie in the wheel of scikit-image.
"""

import io
import pathlib
import sys

from PIL import Image, ImageDraw, ImageFilter

import packages

WIDTH, HEIGHT = 640, 480
FRAMES = 250  # 10 s at 25 frames a second
PHOTOS = ["chelsea", "coffee", "astronaut"]
PHOTO_HEIGHT = 392
GAP = 48
WALL = (44, 47, 54)
QUALITY = 41  # keeps 250 frames under 6 MB


def main():
    target = pathlib.Path(sys.argv[1])
    data = packages.wheel("scikit-image")
    photos = []
    for name in PHOTOS:
        with data.open(f"skimage/data/{name}.png") as file:
            photo = Image.open(file).convert("RGB")
        photos.append(photo.resize((round(photo.width * PHOTO_HEIGHT / photo.height), PHOTO_HEIGHT), Image.LANCZOS))

    period = sum(photo.width + GAP for photo in photos)
    # Twice round, so that every window of the belt is one crop.
    belt = Image.new("RGB", (2 * period, HEIGHT), WALL)
    shadow = Image.new("L", belt.size, 0)
    top = (HEIGHT - PHOTO_HEIGHT) // 2
    places = []
    left = GAP // 2
    for photo in photos * 2:
        places.append((left, photo))
        ImageDraw.Draw(shadow).rectangle([left - 2, top + 8, left + photo.width + 6, top + PHOTO_HEIGHT + 12], fill=150)
        left += photo.width + GAP
    belt.paste((14, 15, 18), mask=shadow.filter(ImageFilter.GaussianBlur(9)))
    for left, photo in places:
        belt.paste(photo, (left, top))

    clip = io.BytesIO()
    for frame in range(FRAMES):
        left = frame * period / FRAMES
        view = belt.resize((WIDTH, HEIGHT), Image.BICUBIC, box=(left, 0, left + WIDTH, HEIGHT))
        view.save(clip, "JPEG", quality=QUALITY, optimize=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(clip.getvalue())
    print(f"{target}: {FRAMES} frames, {len(clip.getvalue())} bytes")


main()
