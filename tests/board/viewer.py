"""A viewer of one camera that notes what reaches it, one JSON object a line.

    viewer.py RELAY_URL CAMERA OUT PICTURES.mjpeg

Each line has `t`, the host's time in seconds, and `what`: connected, disconnected, cameras, frame, detections or
stats. A frame's line tells whether its JPEG is one of PICTURES byte for byte (`picture` is its place there, or null).
It reconnects by itself, quickly, so that the times it notes are the agent's and the relay's, not its own.
"""
import asyncio
import hashlib
import json
import re
import signal
import sys
import time

import socketio


def jpegs(path):
    """The pictures of a file of JPEGs, one after another."""
    with open(path, "rb") as f:
        return re.split(rb"(?<=\xff\xd9)(?=\xff\xd8\xff)", f.read())


async def main():
    url, camera, out_path, pictures_path = sys.argv[1:]
    known = {hashlib.sha256(jpeg).digest(): n for n, jpeg in enumerate(jpegs(pictures_path))}
    out = open(out_path, "w", buffering=1)

    def note(what, **more):
        out.write(json.dumps({"t": time.time(), "what": what, **more}) + "\n")

    # Not the client with threads: it starts one for each message, so their order is lost.
    client = socketio.AsyncClient(reconnection=True, reconnection_attempts=0, reconnection_delay=0.1,
                                  reconnection_delay_max=0.2, randomization_factor=0, request_timeout=2)
    web = "/web"

    @client.on("connect", namespace=web)
    async def connected():
        note("connected")
        await client.emit("watch", {"camera": camera}, namespace=web)

    @client.on("disconnect", namespace=web)
    async def disconnected(*_):
        note("disconnected")

    @client.on("frame", namespace=web)
    async def frame(meta, jpeg):
        note("frame", seq=meta["seq"], captured_us=meta["captured_us"], bytes=len(jpeg),
             picture=known.get(hashlib.sha256(jpeg).digest()))
        await client.emit("shown", {"camera": meta["camera"], "seq": meta["seq"]}, namespace=web)

    @client.on("cameras", namespace=web)
    async def cameras(listed):
        note("cameras", cameras=listed)

    @client.on("detections", namespace=web)
    async def detections(found):
        note("detections", **found)

    @client.on("stats", namespace=web)
    async def stats(values):
        note("stats", **values)

    while True:
        try:
            await client.connect(url, namespaces=[web], transports=["websocket"], wait_timeout=2)
            break
        except socketio.exceptions.ConnectionError:
            await asyncio.sleep(0.2)
    await client.wait()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    asyncio.run(main())
