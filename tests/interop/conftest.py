"""A real relay on a free port, and an agent written from docs/protocol.md."""

import os
import queue
import re
import subprocess
import time

import pytest
import socketio

PATIENCE = 20
# Starts like a JPEG of 640x480; 0x1e bytes end a packet in some clients' older encodings.
JPEG = bytes([0xFF, 0xD8, 0xFF, 0xC0, 0, 17, 8, 0x01, 0xE0, 0x02, 0x80, 3, 1]) + b"\x1e\x00\xff" * 2000


@pytest.fixture
def relay():
    """The address of a relay that lives as long as the test."""
    # The relay takes variables of its prefix for settings.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("CV_RELAY_")}
    process = subprocess.Popen(
        [os.environ["CV_RELAY_BIN"], "--host", "127.0.0.1", "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    url = None
    for line in process.stderr:
        found = re.search(r"open (http://\S+)", line)
        url = found.group(1) if found else url
        if "ready" in line:
            break
    yield url
    process.terminate()
    process.stderr.read()
    assert process.wait(PATIENCE) == 0


class Peer:
    """A client that keeps every event it gets."""

    def __init__(self, url, namespace, **options):
        self.namespace = namespace
        self.client = socketio.Client(reconnection=False)
        self.events = {}
        self.client.on("*", self._keep, namespace=namespace)
        self.client.connect(url, namespaces=[namespace], wait_timeout=PATIENCE, **options)

    def _keep(self, event, *arguments):
        self._queue(event).put(arguments)

    def _queue(self, event):
        return self.events.setdefault(event, queue.Queue())

    def emit(self, event, data):
        self.client.emit(event, data, namespace=self.namespace)

    def take(self, event):
        """The next event of this name: its arguments."""
        return self._queue(event).get(timeout=PATIENCE)

    def close(self):
        self.client.disconnect()


class Agent(Peer):
    def __init__(self, url, camera):
        auth = {"protocol": 1, "camera": camera, "version": "interop"}
        super().__init__(url, "/cv", auth=auth, transports=["websocket"])

    def frame(self, seq):
        now = int(time.time() * 1e6)
        meta = {"seq": seq, "captured_us": now, "width": 640, "height": 480}
        self.emit("frame", (meta, JPEG))

    def detections(self, seq):
        dog = {"label": "Dog", "score": 0.875, "box": [0.1, 0.2, 0.3, 0.4]}
        self.emit(
            "detections",
            {"seq": seq, "captured_us": 1, "model": "ssd", "engine": "LiteRT",
             "accelerator": "XNNPACK", "infer_ms": 12.0, "objects": [dog]},
        )

    def wait_for_viewers(self, count):
        while self.take("demand")[0]["viewers"] != count:
            pass


@pytest.fixture
def agent(relay):
    agent = Agent(relay, "front")
    yield agent
    agent.close()
