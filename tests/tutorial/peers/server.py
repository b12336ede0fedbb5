"""The server of the tutorial: takes pictures and text from CV clients and hands them to web pages.

Written from the tutorial's description as a peer for tests and benchmarks. Runs with Flask-SocketIO 5
(Socket.IO protocol 5) and 4 (protocol 4, Engine.IO 3).
"""

import argparse
from importlib.metadata import version
from pathlib import Path

from flask import Flask, request, send_file, send_from_directory
from flask_socketio import SocketIO

PAGE = Path(__file__).resolve().parent / "page"


def say(line):
    print(f"[INFO] {line}", flush=True)


def build(async_mode, socketio_js, namespaces):
    """The Flask app and its SocketIO; `socketio_js` is the client script that the page loads.

    `namespaces` have a handler of `cv2server`. The tutorial registers its one handler without a namespace,
    which makes it that of the default namespace; whoever moved it to `/cv` has the other one.
    """
    app = Flask(__name__, static_folder=None)
    socketio = SocketIO(app, async_mode=async_mode)

    @app.route("/")
    def index():
        return send_from_directory(PAGE, "index.html")

    @app.route("/page.js")
    def page_script():
        return send_from_directory(PAGE, "page.js")

    @app.route("/socket.io.js")
    def client_script():
        return send_file(socketio_js)

    def announce(namespace, who):
        @socketio.on("connect", namespace=namespace)
        def connected():
            say(f"{who} connected: {request.sid}")

        # Newer versions pass a reason, older ones nothing.
        @socketio.on("disconnect", namespace=namespace)
        def disconnected(*_reason):
            say(f"{who} disconnected: {request.sid}")

    def handle(message):
        socketio.emit("server2web", message, namespace="/web")

    announce("/web", "Web client")
    announce("/cv", "CV client")
    for namespace in namespaces:
        socketio.on("cv2server", namespace=None if namespace == "/" else namespace)(handle)
    return app, socketio


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5001)
    parser.add_argument("--async-mode", default="eventlet", choices=["eventlet", "threading"])
    parser.add_argument("--socketio-js", type=Path, help="socket.io client script for the page")
    parser.add_argument("--namespace", action="append", help="namespace with a handler of cv2server; may be repeated")
    args = parser.parse_args()
    app, socketio = build(args.async_mode, args.socketio_js, args.namespace or ["/"])
    extra = {}
    # Werkzeug's server refuses to serve unless told that this is no production; version 4 does not ask.
    if args.async_mode == "threading" and int(version("flask-socketio").split(".")[0]) >= 5:
        extra["allow_unsafe_werkzeug"] = True
    socketio.run(app, host=args.host, port=args.port, **extra)


if __name__ == "__main__":
    main()
