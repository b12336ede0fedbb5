"""Makes the test pictures of crates/detect/tests/fixtures/pictures/ out of photographs that are free to share.

Each recipe is a source, a crop (left, top, right, bottom, as fractions), a size and JPEG settings; together they
cover sizes, aspect ratios, subsamplings, grey pictures and pictures with nothing to find.
"""

import pathlib
import sys

from PIL import Image

import photos

ALL = (0, 0, 1, 1)
# name: (sources side by side, crop of each, size, JPEG mode, quality, chroma subsampling)
RECIPES = {
    "cat": (["chelsea"], ALL, (451, 300), "RGB", 85, "4:2:0"),
    "cat-close": (["chelsea"], (0.15, 0.0, 0.85, 0.85), (640, 480), "RGB", 80, "4:2:2"),
    "cat-tall": (["chelsea"], (0.1, 0.0, 0.8, 1.0), (240, 427), "RGB", 85, "4:4:4"),
    "cat-grey": (["chelsea"], ALL, (320, 213), "L", 85, None),
    "coffee": (["coffee"], ALL, (600, 400), "RGB", 85, "4:2:0"),
    "coffee-close": (["coffee"], (0.2, 0.0, 0.95, 1.0), (480, 427), "RGB", 85, "4:4:4"),
    "coffee-tiny": (["coffee"], (0.1, 0.0, 1.0, 1.0), (161, 119), "RGB", 90, "4:2:0"),
    "astronaut": (["astronaut"], ALL, (512, 512), "RGB", 85, "4:2:0"),
    "astronaut-large": (["astronaut"], ALL, (1024, 768), "RGB", 75, "4:2:0"),
    "officer": (["grace_hopper"], (0.0, 0.0, 1.0, 0.9), (512, 540), "RGB", 85, "4:2:0"),
    "cat-and-coffee": (["chelsea", "coffee"], ALL, (901, 300), "RGB", 80, "4:2:0"),
    "coffee-and-astronaut": (["coffee", "astronaut"], ALL, (640, 256), "RGB", 85, "4:2:0"),
    "cat-and-astronaut": (["astronaut", "chelsea"], ALL, (641, 257), "RGB", 85, "4:2:2"),
    "three": (["chelsea", "coffee", "astronaut"], ALL, (1000, 300), "RGB", 85, "4:2:0"),
    "dogs": (["dogs"], ALL, (482, 516), "RGB", 85, "4:2:0"),
    "dogs-and-cat": (["dogs", "chelsea"], ALL, (730, 300), "RGB", 85, "4:4:4"),
    "rocket": (["rocket"], ALL, (640, 427), "RGB", 75, "4:2:0"),
    "clock": (["clock_motion"], ALL, (400, 300), "L", 85, None),
    "photographer": (["camera"], ALL, (256, 256), "L", 90, None),
}


def picture(sources, crop, size, mode):
    """The crops of all sources, brought to one height, side by side, then brought to `size`."""
    parts = []
    for name in sources:
        photo = photos.photo(name)
        left, top, right, bottom = (edge * side for edge, side in zip(crop, photo.size * 2))
        width = round((right - left) * size[1] / (bottom - top)) if len(sources) > 1 else size[0]
        parts.append(photo.resize((width, size[1]), Image.LANCZOS, box=(left, top, right, bottom)))
    strip = Image.new("RGB", (sum(part.width for part in parts), size[1]))
    left = 0
    for part in parts:
        strip.paste(part, (left, 0))
        left += part.width
    return strip.resize(size, Image.LANCZOS).convert(mode)


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, (sources, crop, size, mode, quality, subsampling) in RECIPES.items():
        settings = {"subsampling": subsampling} if subsampling else {}
        picture(sources, crop, size, mode).save(folder / f"{name}.jpg", "JPEG", quality=quality, **settings)


main()
