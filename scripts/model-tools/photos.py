"""The photographs that the test pictures, and in part the clip, are made of; NOTICE names their authors and licences."""

import io

from PIL import Image

import packages

# The two dogs, out of a picture that is mostly wall: left, top, right, bottom as fractions.
DOGS = (0.15, 0.2, 0.85, 0.7)


def photo(name):
    """One of them in RGB: astronaut, camera, chelsea, clock_motion, coffee, dogs, grace_hopper, rocket."""
    if name == "dogs":
        path = "usr/share/backgrounds/friends_by_Aitzol_Berasategi.jpg"
        picture = _open(packages.debian_file("lomiri-wallpapers-16.04", path))
        return picture.crop([round(edge * side) for edge, side in zip(DOGS, picture.size * 2)])
    if name == "grace_hopper":
        return _open(packages.wheel("matplotlib").read("matplotlib/mpl-data/sample_data/grace_hopper.jpg"))
    ending = "jpg" if name == "rocket" else "png"
    return _open(packages.wheel("scikit-image").read(f"skimage/data/{name}.{ending}"))


def _open(content):
    return Image.open(io.BytesIO(content)).convert("RGB")
