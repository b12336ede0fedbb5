"""Makes the demo clip: photographs on a belt that passes the camera, slower where one is in the middle, for ever.

Also writes down where every object is in every frame, from boxes drawn by hand on the photographs.
"""

import io
import json
import math
import pathlib
import sys

from PIL import Image, ImageDraw, ImageFilter

import photos

WIDTH, HEIGHT = 640, 480
# Photograph: its objects, each a label and ymin, xmin, ymax, xmax as fractions of the photograph.
OBJECTS = {
    "chelsea": [("Cat", (0.0, 0.0, 1.0, 0.92))],
    "dogs": [("Dog", (0.07, 0.23, 0.42, 0.54)), ("Dog", (0.5, 0.42, 0.91, 0.745))],
    "coffee": [("Coffee cup", (0.045, 0.305, 0.77, 0.74))],
    "astronaut": [("Person", (0.03, 0.04, 1.0, 0.715))],
}
VISIBLE = 0.3  # an object counts while at least this part of it is in the frame
FRAMES_EACH = 75  # 3 s at 25 frames a second
PHOTO_HEIGHT = 384
GAP = 56
WALL = (44, 47, 54)
SWING = 0.55  # how much slower and faster than the mean speed, as a part of it
QUALITY = 40  # keeps 300 frames under 6 MB


def visible(places, left):
    """What a view that starts at `left` shows: {id, label, box}; each object on the belt has an id of its own."""
    top = (HEIGHT - PHOTO_HEIGHT) / 2
    number = 0
    for (place, picture), objects in zip(places, list(OBJECTS.values()) * 3):
        for label, (ymin, xmin, ymax, xmax) in objects:
            number += 1
            low = (place + xmin * picture.width - left) / WIDTH
            high = (place + xmax * picture.width - left) / WIDTH
            inside = min(high, 1.0) - max(low, 0.0)
            if inside >= VISIBLE * (high - low):
                box = [(top + ymin * PHOTO_HEIGHT) / HEIGHT, max(low, 0.0),
                       (top + ymax * PHOTO_HEIGHT) / HEIGHT, min(high, 1.0)]
                yield {"id": number, "label": label, "box": [round(edge, 4) for edge in box]}


def main():
    target, truth = (pathlib.Path(argument) for argument in sys.argv[1:])
    pictures = []
    for name in OBJECTS:
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
    middles = [left + picture.width / 2 for left, picture in places[len(OBJECTS):2 * len(OBJECTS) + 1]]
    clip = io.BytesIO()
    frames = []
    for here, there in zip(middles, middles[1:]):
        for frame in range(FRAMES_EACH):
            part = frame / FRAMES_EACH
            part -= SWING * math.sin(2 * math.pi * part) / (2 * math.pi)
            left = here + (there - here) * part - WIDTH / 2
            view = belt.resize((WIDTH, HEIGHT), Image.BICUBIC, box=(left, 0, left + WIDTH, HEIGHT))
            view.save(clip, "JPEG", quality=QUALITY, optimize=True)
            frames.append(list(visible(places, left)))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(clip.getvalue())
    lines = ",\n".join(json.dumps(frame, separators=(",", ":")) for frame in frames)
    truth.parent.mkdir(parents=True, exist_ok=True)
    truth.write_text('{"visible": %s, "frames": [\n%s\n]}\n' % (VISIBLE, lines), encoding="utf-8")
    print(f"{target}: {FRAMES_EACH * len(OBJECTS)} frames, {len(clip.getvalue())} bytes")


main()
