"""Makes the demo clip: photographs on a belt that passes the camera, slower where one is in the middle, for ever."""

import io
import math
import pathlib
import sys

from PIL import Image, ImageDraw, ImageFilter

import photos

WIDTH, HEIGHT = 640, 480
NAMES = ["chelsea", "dogs", "coffee", "astronaut"]
FRAMES_EACH = 75  # 3 s at 25 frames a second
PHOTO_HEIGHT = 384
GAP = 56
WALL = (44, 47, 54)
SWING = 0.55  # how much slower and faster than the mean speed, as a part of it
QUALITY = 40  # keeps 300 frames under 6 MB


def main():
    target = pathlib.Path(sys.argv[1])
    pictures = []
    for name in NAMES:
        picture = photos.photo(name)
        picture = picture.resize((round(picture.width * PHOTO_HEIGHT / picture.height), PHOTO_HEIGHT), Image.LANCZOS)
        # Grain costs many bytes and shows nothing at this size.
        pictures.append(picture.filter(ImageFilter.GaussianBlur(0.5)))

    top = (HEIGHT - PHOTO_HEIGHT) // 2
    places = []
    left = GAP
    for picture in pictures * 3:
        places.append((left, picture))
        left += picture.width + GAP
    # Three times round, so that every window of the belt is one crop.
    belt = Image.new("RGB", (left, HEIGHT), WALL)
    shadow = Image.new("L", belt.size, 0)
    for left, picture in places:
        box = [left - 2, top + 8, left + picture.width + 6, top + PHOTO_HEIGHT + 12]
        ImageDraw.Draw(shadow).rectangle(box, fill=150)
    belt.paste((14, 15, 18), mask=shadow.filter(ImageFilter.GaussianBlur(9)))
    for left, picture in places:
        belt.paste(picture, (left, top))

    # From the middle of the first photograph of the second round to that of the third.
    middles = [left + picture.width / 2 for left, picture in places[len(NAMES):2 * len(NAMES) + 1]]
    clip = io.BytesIO()
    for here, there in zip(middles, middles[1:]):
        for frame in range(FRAMES_EACH):
            part = frame / FRAMES_EACH
            part -= SWING * math.sin(2 * math.pi * part) / (2 * math.pi)
            left = here + (there - here) * part - WIDTH / 2
            view = belt.resize((WIDTH, HEIGHT), Image.BICUBIC, box=(left, 0, left + WIDTH, HEIGHT))
            view.save(clip, "JPEG", quality=QUALITY, optimize=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(clip.getvalue())
    print(f"{target}: {FRAMES_EACH * len(NAMES)} frames, {len(clip.getvalue())} bytes")


main()
