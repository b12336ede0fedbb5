"""The CV client of the tutorial: camera or clip -> SSD -> boxes drawn in -> base64 JPEG to the server.

Written from the tutorial's description as a peer for tests and benchmarks. Runs with python-socketio 5 and 4.
"""

import argparse
import base64
import os
import signal
import socket
import sys
import threading
import time
from importlib.metadata import version

import cv2
import socketio

COLOUR = (0, 200, 0)


def say(line):
    print(line, flush=True)


class Video:
    """Reads a camera or loops a clip at its own rate on a thread of its own; `read` takes the newest picture."""

    def __init__(self, source, fps):
        self._is_clip = not source.isdigit()
        self._source = source if self._is_clip else int(source)
        self._stream = cv2.VideoCapture(self._source)
        if not self._stream.isOpened():
            sys.exit(f"[ERROR] cannot open {source}")
        self._interval = 1 / (fps or self._stream.get(cv2.CAP_PROP_FPS) or 30)
        self._new = threading.Condition()
        self._picture, self._taken, self._captured, self._seen = None, 0.0, 0, 0
        self._stopping = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        due = time.monotonic()
        while not self._stopping:
            ok, picture = self._stream.read()
            if not ok and self._is_clip:
                self._stream = cv2.VideoCapture(self._source)
                continue
            if not ok:
                say("[ERROR] the camera delivers no more pictures")
                os.kill(os.getpid(), signal.SIGINT)
                return
            if self._is_clip:
                due += self._interval
                time.sleep(max(0, due - time.monotonic()))
            with self._new:
                self._picture, self._taken = picture, time.time()
                self._captured += 1
                self._new.notify_all()

    def read(self):
        """The newest picture that has not been read yet, and when it was taken."""
        with self._new:
            self._new.wait_for(lambda: self._captured > self._seen)
            self._seen = self._captured
            return self._picture, self._taken

    def close(self):
        self._stopping = True
        self._thread.join(5)


class Server:
    """The connection to the server."""

    def __init__(self, address, port, namespace, fps):
        self._url = f"http://{address}:{port}"
        self._namespace = namespace
        self._interval = 1 / fps
        self._next = 0.0
        self._connected = threading.Event()
        self.sent = 0
        self._sio = sio = socketio.Client()

        @sio.on("connect", namespace="/cv")
        def connect():
            say("[INFO] Successfully connected to server.")
            self._connected.set()

        @sio.on("connect_error", namespace="/cv")
        def connect_error(*_why):
            say("[INFO] Failed to connect to server.")

        @sio.on("disconnect", namespace="/cv")
        def disconnect(*_why):
            say("[INFO] Disconnected from server.")

    def connect(self):
        say(f"[INFO] Connecting to server {self._url}...")
        # It names /cv and sends on the default namespace, which protocol 4 joins by itself and protocol 5 does not.
        namespaces = ["/cv"]
        if self._namespace == "/" and int(version("python-socketio").split(".")[0]) >= 5:
            namespaces.append("/")
        try:
            self._sio.connect(self._url, transports=["websocket"], namespaces=namespaces)
        except socketio.exceptions.ConnectionError as error:
            sys.exit(f"[INFO] Failed to connect to server: {error}")
        self._connected.wait(10)

    def send(self, picture, lines):
        """Sends a picture and its text, at most as often as asked."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = max(self._next + self._interval, now)
        jpeg = cv2.imencode(".jpg", picture)[1].tobytes()
        image = "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")
        try:
            self._sio.emit("cv2server", {"image": image, "text": "<br />".join(lines)}, namespace=self._namespace)
            self.sent += 1
        except socketio.exceptions.BadNamespaceError:
            pass  # while it reconnects

    def close(self):
        self._sio.disconnect()


def markup(picture, objects):
    """Draws boxes and labels, then fits the picture into 640x480, keeping its aspect."""
    for label, score, (x, y, w, h) in objects:
        x, y = int(x), int(y)
        cv2.rectangle(picture, (x, y), (x + int(w), y + int(h)), COLOUR, 2)
        cv2.putText(picture, f"{label}: {score:.2%}", (max(x, 0), max(y - 6, 12)), cv2.FONT_HERSHEY_SIMPLEX, 0.5, COLOUR, 1)
    height, width = picture.shape[:2]
    scale = min(640 / width, 480 / height, 1)
    return picture if scale == 1 else cv2.resize(picture, (round(width * scale), round(height * scale)))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--camera", default="0", help="index of the camera, or a clip to loop")
    parser.add_argument("--server-addr", default="localhost")
    parser.add_argument("--server-port", type=int, default=5001)
    parser.add_argument("--stream-fps", type=float, default=20.0)
    parser.add_argument("--namespace", default="/", choices=["/", "/cv"], help="where it sends; it joins /cv in any case")
    parser.add_argument("--model", help="SSD model; without one nothing is detected")
    parser.add_argument("--labels")
    parser.add_argument("--clip-fps", type=float, help="rate of the clip if it does not tell")
    parser.add_argument("--stamp", action="store_true", help="add a line with the capture time, for measuring")
    args = parser.parse_args()

    def stop(_signal, _frame):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)

    detector = None
    if args.model:
        from ssd import Detector  # without detection the runtime need not be installed

        detector = Detector(args.model, args.labels)
        say(f"Loaded model:\n{detector.name}\n")
        say(f"Engine: {detector.engine}")
        say(f"Accelerator: {detector.accelerator}\n")
        say(f"Labels:\n{detector.labels}\n")

    server = Server(args.server_addr, args.server_port, args.namespace, args.stream_fps)
    video = Video(args.camera, args.clip_fps)
    processed, started = 0, time.monotonic()
    try:
        server.connect()
        started = time.monotonic()
        while True:
            picture, taken = video.read()
            lines = []
            objects = []
            if detector:
                objects, seconds = detector.detect(picture)
                lines += [f"Model: {detector.name}", f"Inference time: {seconds:1.3f} s", "Objects:"]
            lines += [f"{label}: {score:2.2%}" for label, score, _ in objects]
            if args.stamp:
                lines.append(f"captured_us: {int(taken * 1e6)}")
            server.send(markup(picture, objects), lines)
            processed += 1
    except KeyboardInterrupt:
        pass
    finally:
        elapsed = time.monotonic() - started
        video.close()
        server.close()
        say(f"elapsed time: {elapsed:.2f}")
        say(f"approx. FPS: {processed / max(elapsed, 1e-9):.2f}")
        say(f"pictures sent: {server.sent}")
        say("Program Ending")


if __name__ == "__main__":
    main()
