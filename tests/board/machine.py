"""The board under test (scripts/vm), the relay on this host and the viewer, as things a check can use."""
import json
import os
import pathlib
import socket
import subprocess
import sys
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
VM = ROOT / "scripts" / "vm"


class Failed(Exception):
    """A check that did not hold; the text says what was seen."""


def wait_for(what, look, timeout, every=0.1):
    """The first true value of `look()`, or Failed after `timeout` seconds."""
    end = time.monotonic() + timeout
    while True:
        value = look()
        if value:
            return value
        if time.monotonic() > end:
            raise Failed(f"no {what} within {timeout} s")
        time.sleep(every)


class Board:
    """The virtual machine."""

    def __init__(self, pictures):
        self.pictures = pictures
        self.clock_offset = 0.0

    def tool(self, name, *args, check=True, timeout=400):
        done = subprocess.run([VM / name, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, timeout=timeout)
        if check and done.returncode:
            raise Failed(f"{name} {' '.join(map(str, args))}: {done.stdout.strip()}")
        return done.stdout.strip()

    def boot(self, keep=False):
        """Boots from the clean disk (or the last one) and returns how long that took, in seconds."""
        began = time.time()
        self.tool("boot", *(["--keep"] if keep else []))
        self.sync_clock()
        return time.time() - began

    def sync_clock(self):
        """Learns how far this host's clock is ahead of the machine's."""
        best = None
        for _ in range(5):
            before = time.time()
            theirs = float(self.run("date +%s.%N"))
            after = time.time()
            if best is None or after - before < best[0]:
                best = (after - before, (before + after) / 2 - theirs)
        self.clock_offset = best[1]

    def run(self, command, check=True, timeout=300):
        """Standard output of a shell command, run as root in the machine."""
        done = subprocess.run([VM / "ssh", command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=timeout)
        if check and done.returncode:
            raise Failed(f"in the machine, `{command}` exited with {done.returncode}: "
                         f"{(done.stdout + done.stderr).strip()[-1500:]}")
        return done.stdout.strip()

    def copy(self, *files, to="/root/"):
        self.tool("scp", *files, f"vm:{to}")

    def plug(self, port=1, extra=()):
        self.tool("camera", "plug", self.pictures, "--port", port, *extra)

    def unplug(self, port=1):
        self.tool("camera", "unplug", "--port", port)

    def camera(self, action, port=1):
        return self.tool("camera", action, "--port", port)

    def node_time(self, port=1, timeout=15):
        """When the device node of a camera appeared, by this host's clock; waits for it.

        By its stable name: while the agent still holds the old `/dev/video0`, the camera comes back as another.
        """
        node = f"/dev/v4l/by-id/usb-VM_test_UVC_MJPEG_camera_port{port}-video-index0"
        made = wait_for(f"{node} in the machine",
                        lambda: self.run(f"stat -L -c %.9Z {node} 2>/dev/null", check=False), timeout, every=0.3)
        return float(made) + self.clock_offset

    def cable(self, up):
        """Pulls or plugs the network cable, at the emulator."""
        path = os.environ.get("CV_VM_RUN") or os.path.join(
            os.environ.get("CV_VM_CACHE") or os.path.join(
                os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "cv-agent", "vm"), "run")
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.connect(os.path.join(path, "monitor.sock"))
            monitor.settimeout(5)
            monitor.recv(4096)
            monitor.sendall(f"set_link n0 {'on' if up else 'off'}\n".encode())
            time.sleep(0.2)
            monitor.recv(4096)
        return time.time()

    # -- the service

    def show(self, *names, unit="cv-agent"):
        """Properties of the unit, as text by name."""
        lines = self.run(f"systemctl show {unit} -p {','.join(names)}").splitlines()
        return dict(line.split("=", 1) for line in lines)

    def status(self, unit="cv-agent"):
        return self.show("StatusText", unit=unit)["StatusText"]

    def pid(self, unit="cv-agent"):
        return int(self.show("MainPID", unit=unit)["MainPID"])

    def journal(self, since=None, unit="cv-agent", what="cat"):
        """The unit's journal, from a cursor on if one is given."""
        return self.run(f"journalctl -u {unit} --no-pager -o {what}" + (f" --after-cursor='{since}'" if since else ""))

    def cursor(self):
        """Where the journal ends now."""
        return self.run("journalctl -n 0 --show-cursor | sed -n 's/^-- cursor: //p'")

    def process(self, unit="cv-agent"):
        """Resident memory in kB, open descriptors and threads of the unit's main process."""
        pid = self.pid(unit)
        rss, fds, threads = self.run(
            f"awk '/^VmRSS/ {{print $2}}' /proc/{pid}/status; ls /proc/{pid}/fd | wc -l; ls /proc/{pid}/task | wc -l"
        ).split()
        return {"rss_kb": int(rss), "fds": int(fds), "threads": int(threads)}


class Relay:
    """cv-relay on this host's loopback, always on the same port."""

    def __init__(self, program, log_path):
        self.program, self.log_path, self.process = program, log_path, None
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self):
        """Starts it; returns the time at which it listens."""
        with open(self.log_path, "a") as log:
            self.process = subprocess.Popen([self.program, "--host", "127.0.0.1", "--port", str(self.port)],
                                            stdout=log, stderr=log)

        def listens():
            if self.process.poll() is not None:
                raise Failed(f"the relay ended with {self.process.returncode}; see {self.log_path}")
            with socket.socket() as s:
                return s.connect_ex(("127.0.0.1", self.port)) == 0

        wait_for("relay", listens, 10, every=0.02)
        return time.time()

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()

    def cameras(self):
        with urllib.request.urlopen(f"{self.url}/api/cameras", timeout=5) as answer:
            return json.load(answer)


class Viewer:
    """viewer.py, and what it has noted."""

    def __init__(self, relay, camera, pictures, out_path):
        self.path = out_path
        self.process = subprocess.Popen([sys.executable, HERE / "viewer.py", relay.url, camera, out_path, pictures])

    def notes(self, what=None, since=0.0):
        """What was noted after `since` (host time), oldest first."""
        notes = []
        try:
            with open(self.path) as f:
                for line in f:
                    if line.endswith("\n"):
                        note = json.loads(line)
                        if note["t"] >= since and what in (None, note["what"]):
                            notes.append(note)
        except FileNotFoundError:
            pass
        return notes

    def first_frame(self, since, timeout):
        """The first frame after `since`; waits for it."""
        return wait_for(f"frame at the viewer after {time.strftime('%T', time.localtime(since))}",
                        lambda: next(iter(self.notes("frame", since)), None), timeout)

    def camera_state(self, name, state, since, timeout):
        """The first `cameras` message after `since` in which the camera has the state; waits for it."""
        def look():
            for note in self.notes("cameras", since):
                for camera in note["cameras"]:
                    if camera["name"] == name and camera["state"] == state:
                        return {"t": note["t"], **camera}
            return None
        return wait_for(f"`cameras` message with {name} {state}", look, timeout)

    def stop(self):
        self.process.terminate()
        self.process.wait()
