"""Writes down what `cv-agent detect` finds in every picture of a Motion JPEG clip, for tests that need no model."""

import json
import pathlib
import subprocess
import sys
import tempfile

START = b"\xff\xd8\xff"


def main():
    clip, target, program, *options = sys.argv[1:]
    pictures = [START + rest for rest in pathlib.Path(clip).read_bytes().split(START)[1:]]
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for number, picture in enumerate(pictures):
            files.append(pathlib.Path(folder, f"{number:04}.jpg"))
            files[-1].write_bytes(picture)
        output = subprocess.run([program, "detect", "--json", *options, *files], check=True, stdout=subprocess.PIPE).stdout
    lines = [json.loads(line) for line in output.splitlines()]
    assert len(lines) == len(pictures), f"{len(lines)} answers for {len(pictures)} pictures"
    frames = ",\n".join(json.dumps([rounded(found) for found in line["objects"]], separators=(",", ":")) for line in lines)
    pathlib.Path(target).write_text(
        '{"model": "%s", "engine": "%s", "frames": [\n%s\n]}\n' % (lines[0]["model"], lines[0]["engine"], frames), encoding="utf-8")
    print(f"{target}: {sum(len(line['objects']) for line in lines)} objects in {len(lines)} pictures")


def rounded(found):
    return {"label": found["label"], "score": round(found["score"], 3), "box": [round(edge, 4) for edge in found["box"]]}


main()
