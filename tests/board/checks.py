"""What the board must do. Each check gets the test bench and notes figures in its report; Failed says what was seen."""
import re
import statistics
import time

from machine import Failed, Viewer, wait_for

CAMERA = "board"
CONFIG = "/etc/cv-agent/config.toml"
WATCHDOG_SECONDS = 30
DROP_IN = "/run/systemd/system/cv-agent.service.d"


def frames_per_second(frames):
    """Rate of notes by their time of arrival."""
    if len(frames) < 2:
        return 0.0
    return (len(frames) - 1) / (frames[-1]["t"] - frames[0]["t"])


def same_process(bench, before):
    """The service was neither restarted nor replaced since `before`."""
    after = bench.board.show("MainPID", "NRestarts", "ActiveState")
    if after != before:
        raise Failed(f"the service did not stay as it was: {before}, then {after}")


def service_state(bench):
    return bench.board.show("MainPID", "NRestarts", "ActiveState")


def start(bench, what="start"):
    """Starts the service; returns the seconds until systemd heard READY."""
    began = time.time()
    bench.board.run(f"systemctl {what} cv-agent")
    return time.time() - began


def install(bench):
    """after apt has installed the package and one line of the settings is edited, the service starts and reports ready"""
    board, report = bench.board, bench.report
    board.plug()
    board.copy(*bench.packages)
    names = " ".join(f"/root/{package.name}" for package in bench.packages)
    report.command(f"apt-get install -y {names}")
    board.run(f"apt-get install -y {names}")
    if board.show("ActiveState")["ActiveState"] != "inactive":
        raise Failed("the service runs before it was configured")
    if board.run("systemctl is-enabled cv-agent") != "enabled":
        raise Failed("the service is not enabled")
    report.line("owner and mode of /etc/cv-agent", board.run("stat -c '%U:%G %a' /etc/cv-agent"))

    # what the kernel and the emulated camera can do here, without us
    seen = board.run("v4l2-ctl -d /dev/video0 --set-fmt-video=width=640,height=480,pixelformat=MJPG "
                     "--stream-mmap --stream-count=300 --stream-to=/dev/null 2>&1 | tr '\\r<' '\\n\\n' | grep fps | tail -n 1")
    report.line("v4l2-ctl on the same camera, nothing else running", seen.strip(" ,"))

    edit = f"sed -i 's|^server-addr = .*|server-addr = \"vm-host:{bench.relay.port}\"|' {CONFIG}"
    report.command(edit)
    board.run(edit)
    # so that the viewer knows the name; the machine's own would do
    board.run(f"sed -i 's|^#name = .*|name = \"{CAMERA}\"|; s|^#stream-fps = .*|stream-fps = 30|' {CONFIG}")
    report.command("systemctl start cv-agent")
    report.line("systemctl start to READY", f"{start(bench):.1f} s")
    bench.viewer = Viewer(bench.relay, CAMERA, bench.pictures, bench.work / "viewer.jsonl")
    bench.viewer.first_frame(0, 30)
    report.block("systemctl status cv-agent", board.run("systemctl status cv-agent --no-pager --lines 8"))


def video(bench):
    """the viewer receives the camera's JPEGs byte for byte, while detection runs at its own rate"""
    viewer, report = bench.viewer, bench.report
    time.sleep(3)
    since = time.time()
    time.sleep(30)
    frames = viewer.notes("frame", since)
    detections = viewer.notes("detections", since)
    stats = viewer.notes("stats", since)
    foreign = sum(frame["picture"] is None for frame in frames)
    if foreign or len(frames) < 60:
        raise Failed(f"{len(frames)} frames, {foreign} of them are not the camera's")
    steps = [b["seq"] - a["seq"] for a, b in zip(frames, frames[1:])]
    if min(steps) < 1:
        raise Failed("frames came out of order")
    report.line("frames at the viewer", f"{len(frames)} in {frames[-1]['t'] - frames[0]['t']:.1f} s, "
                f"{frames_per_second(frames):.1f} fps, all of them byte for byte the camera's")
    report.line("frames dropped on the way", f"{sum(steps) - len(steps)}")
    report.line("capture, stream and detection by the agent's own count (median)", ", ".join(
        f"{statistics.median(s[key] for s in stats):.1f}" for key in ("capture_fps", "stream_fps", "detect_fps")) + " fps")
    if not detections:
        raise Failed("no detections")
    found = sorted({thing["label"] for found in detections for thing in found["objects"]})
    report.line("detections", f"{frames_per_second(detections):.2f} a second, "
                f"{statistics.median(d['infer_ms'] for d in detections):.0f} ms each with {detections[-1]['engine']} "
                f"(median); found: {', '.join(found) or 'nothing'}")
    if not found:
        raise Failed("nothing was ever detected in the clip")
    report.line("memory, descriptors, threads", str(bench.board.process()))
    report.line("status", bench.board.status())


def reload(bench):
    """SIGHUP changes thresholds and rates without interrupting the video"""
    board, viewer = bench.board, bench.viewer
    before, cursor, since = service_state(bench), board.cursor(), time.time()
    board.run(f"sed -i 's|^#*min-score = .*|min-score = 0.99|' {CONFIG} && systemctl reload cv-agent")
    time.sleep(8)
    quiet = viewer.notes("detections", since + 4)
    board.run(f"sed -i 's|^#*min-score = .*|min-score = 0.5|' {CONFIG} && systemctl reload cv-agent")
    after = time.time()
    wait_for("objects after the second reload", lambda: any(d["objects"] for d in viewer.notes("detections", after)), 30)
    frames = viewer.notes("frame", since)
    gap = max(b["t"] - a["t"] for a, b in zip(frames, frames[1:]))
    if any(d["objects"] for d in quiet):
        raise Failed("objects were reported above a threshold of 0.99")
    if gap > 1 or any(b["seq"] < a["seq"] for a, b in zip(frames, frames[1:])):
        raise Failed(f"the video was interrupted ({gap:.2f} s)")
    same_process(bench, before)
    bench.report.line("longest gap in the video across two reloads", f"{gap * 1000:.0f} ms")
    bench.report.block("journal", board.journal(cursor))


def wrong_settings(bench):
    """an unknown key in the settings ends the service at once with the reason, and systemd does not restart it"""
    board = bench.board
    board.run(f"systemctl stop cv-agent; cp {CONFIG} /root/config.good; echo 'stream-pfs = 3' >> {CONFIG}")
    cursor = board.cursor()
    board.run("systemctl start cv-agent", check=False)
    time.sleep(5)
    state = board.show("ActiveState", "NRestarts", "ExecMainStatus")
    said = board.journal(cursor)
    board.run(f"cp /root/config.good {CONFIG}; systemctl reset-failed cv-agent; systemctl start cv-agent")
    if state != {"ActiveState": "failed", "NRestarts": "0", "ExecMainStatus": "78"} or "stream-pfs" not in said:
        raise Failed(f"{state}; {said}")
    bench.report.block("journal", said)
    bench.viewer.first_frame(time.time(), 30)


def unplug(bench, seconds=20):
    """camera unplugged and plugged in again: video within 2 s of the device node from the same process, and the page shows both"""
    board, viewer, report = bench.board, bench.viewer, bench.report
    before, cursor = service_state(bench), board.cursor()
    board.sync_clock()
    pulled = time.time()
    board.unplug()
    gone = viewer.camera_state(CAMERA, "fault", pulled, 10)
    report.line("page told that the camera is gone", f"{gone['t'] - pulled:.1f} s after the cable was pulled: "
                f"{gone.get('fault')}")
    time.sleep(max(0, seconds - (time.time() - pulled)))
    report.line("status meanwhile", board.status())
    plugged = time.time()
    board.plug()
    node = board.node_time()
    frame = viewer.first_frame(plugged, 20)
    back = viewer.camera_state(CAMERA, "live", plugged, 10)
    delay = frame["t"] - node
    report.line("first frame at the viewer", f"{delay:.2f} s after the device node came back")
    report.line("page told that the camera is back", f"{back['t'] - node:.2f} s after the device node")
    report.block("journal", board.journal(cursor))
    same_process(bench, before)
    if delay > 2:
        raise Failed(f"video came {delay:.2f} s after the device node; 2 s are allowed")


def frozen(bench):
    """a camera that stays plugged in but sends nothing is noticed, reopened, and shown again once it works"""
    board, viewer = bench.board, bench.viewer
    before, cursor, since = service_state(bench), board.cursor(), time.time()
    board.camera("freeze")
    try:
        gone = viewer.camera_state(CAMERA, "fault", since, 30)
        time.sleep(5)
    finally:
        thawed = time.time()
        board.camera("thaw")
    frame = viewer.first_frame(thawed, 30)
    same_process(bench, before)
    bench.report.line("page told", f"{gone['t'] - since:.1f} s after the last picture: {gone.get('fault')}")
    bench.report.line("video", f"{frame['t'] - thawed:.1f} s after the camera worked again")
    bench.report.block("journal", board.journal(cursor))


def relay_gone(bench):
    """relay killed and started again: the video returns within 3 s"""
    before, cursor = service_state(bench), bench.board.cursor()
    bench.relay.kill()
    time.sleep(15)
    listens = bench.relay.start()
    delay = bench.viewer.first_frame(listens, 30)["t"] - listens
    same_process(bench, before)
    bench.report.line("first frame at the viewer", f"{delay:.2f} s after the relay listened again (it was away for 15 s)")
    bench.report.block("journal", bench.board.journal(cursor))
    if delay > 3:
        raise Failed(f"video came after {delay:.2f} s; 3 s are allowed")


def network_cut(bench):
    """network cable pulled for 60 s: the video returns within 3 s"""
    board = bench.board
    before, cursor = service_state(bench), board.cursor()
    board.cable(up=False)
    time.sleep(60)
    up = board.cable(up=True)
    delay = bench.viewer.first_frame(up + 0.05, 60)["t"] - up
    same_process(bench, before)
    bench.report.line("first frame at the viewer", f"{delay:.2f} s after the cable was back")
    bench.report.block("journal", board.journal(cursor))
    if delay > 3:
        raise Failed(f"video came after {delay:.2f} s; 3 s are allowed")


def power_cut(bench):
    """power cut: the video returns after the next boot without anyone's help"""
    board = bench.board
    board.unplug()
    board.run("sync")
    board.tool("stop", "--now")
    began = time.time()
    board.tool("boot", "--keep", "--no-wait")
    # the camera is on its cable all the time; the emulator's socket is there once it runs
    wait_for("a place to plug the camera into", lambda: "pid" in board.tool("camera", "plug", board.pictures, check=False), 20)
    frame = bench.viewer.first_frame(began, 180)
    wait_for("ssh", lambda: board.run("true; echo up", check=False, timeout=60) == "up", 120, every=1)
    board.sync_clock()
    bench.report.line("first frame at the viewer", f"{frame['t'] - began:.1f} s after the power was back")
    bench.report.line("seconds after the kernel started at which systemd had it ready", board.run(
        "systemctl show cv-agent -p ActiveEnterTimestampMonotonic | awk -F= '{print $2 / 1e6}'"))


def with_hook(bench, hook):
    bench.board.run(f"mkdir -p {DROP_IN} && printf '[Service]\\nEnvironment=CV_AGENT_TEST_HOOK={hook}\\n' "
                    f"> {DROP_IN}/hook.conf && systemctl daemon-reload")


def without_hook(bench):
    bench.board.run(f"rm -rf {DROP_IN}; systemctl daemon-reload; systemctl reset-failed cv-agent; systemctl restart cv-agent")


def stuck(bench, hook, last_sign):
    """Lets a thread hang; from its last sign of life to systemd's restart at most WatchdogSec + 5 s may pass."""
    board = bench.board
    board.sync_clock()
    cursor = board.cursor()
    with_hook(bench, hook)
    try:
        board.run("systemctl restart cv-agent")
        line = wait_for("restart by systemd", lambda: board.run(
            f"journalctl -u cv-agent --no-pager -o short-unix --after-cursor='{cursor}' | grep 'Scheduled restart job'",
            check=False), 180, every=1).splitlines()[0]
    finally:
        without_hook(bench)
    restarted = float(line.split()[0]) + board.clock_offset
    hung = max(note["t"] for note in bench.viewer.notes(last_sign) if note["t"] < restarted)
    said = board.journal(cursor)
    bench.report.line("from the last sign of life to the restart", f"{restarted - hung:.1f} s (WatchdogSec={WATCHDOG_SECONDS})")
    bench.report.block("journal", said)
    if not re.search(r"Watchdog (timeout|request)", said):
        raise Failed("systemd's watchdog did not act")
    if not re.search(r"stuck|hang|no progress|no sign", said):
        raise Failed("the agent did not say in the journal what hangs")
    if restarted - hung > WATCHDOG_SECONDS + 5:
        raise Failed(f"the restart came {restarted - hung:.1f} s after the thread hung")
    bench.viewer.first_frame(time.time(), 60)


def watchdog_capture(bench):
    """a capture thread that hangs: systemd restarts the service within WatchdogSec + 5 s, the journal says why"""
    stuck(bench, "stuck-capture", "frame")


def watchdog_detect(bench):
    """an inference thread that hangs: the same"""
    stuck(bench, "stuck-detect", "detections")


def back_off(bench):
    """a service that keeps failing is restarted without a limit, after longer and longer delays"""
    board = bench.board
    board.run("systemctl stop cv-agent")
    board.run(f"mkdir -p {DROP_IN} && printf '[Service]\\nType=simple\\nExecStart=\\nExecStart=/bin/false\\n' "
              f"> {DROP_IN}/hook.conf && systemctl daemon-reload")
    cursor = board.cursor()
    try:
        board.run("systemctl start cv-agent", check=False)

        def three_waits():
            waits = re.findall(r"waiting (\d+) s", board.journal(cursor))
            return waits if len(waits) >= 3 else None

        waits = wait_for("three waits", three_waits, 120, every=2)
    finally:
        without_hook(bench)
    bench.report.line("seconds waited before the starts, beside RestartSec", ", ".join(["0", *waits]))
    if waits[:3] != ["2", "4", "8"]:
        raise Failed(f"waits were {waits}")
    bench.viewer.first_frame(time.time(), 30)


SANDBOX_PROBE = r"""
try() { if out=$("$@" 2>&1); then echo "ALLOWED $*: $out"; else echo "refused $*: ${out##*: }"; fi; }
family() { perl -e 'socket(my $s, $ARGV[0], 2, 0) or die "$!\n"' "$1"; }
try ls /home
try ls /root
try cat /dev/vda
try touch /etc/x
try touch /var/lib/x
try touch /usr/bin/x
try kill -0 1
try ls /proc/1
try sysctl -w kernel.hostname=x
try mount -t tmpfs none /mnt
try unshare --user true
for f in 16 17 31 38 40; do try family $f; done
echo "needed: $(family 1 && family 2 && family 10 && echo unix, ipv4, ipv6)"
echo "needed: $(v4l2-ctl -d /dev/video0 --all | grep -c 'Driver name') camera"
"""


def sandbox(bench):
    """the sandbox works: another program in place of the service cannot read /home or open sockets of other families"""
    board = bench.board
    board.run("systemctl stop cv-agent; mkdir -p /home/somebody")
    probe = bench.work / "probe"
    probe.write_text("#!/bin/bash\n" + SANDBOX_PROBE)
    probe.chmod(0o755)
    board.copy(probe, to="/usr/local/bin/cv-probe")
    board.run(f"mkdir -p {DROP_IN} && printf '[Service]\\nType=oneshot\\nRestart=no\\nExecStart=\\n"
              f"ExecStart=/usr/local/bin/cv-probe\\n' > {DROP_IN}/hook.conf && systemctl daemon-reload")
    cursor = board.cursor()
    try:
        board.run("systemctl start cv-agent")
        said = board.journal(cursor)
    finally:
        without_hook(bench)
    lines = [line for line in said.splitlines() if line.startswith(("ALLOWED", "refused", "needed"))]
    bench.report.block("a probe in the same sandbox", "\n".join(lines))
    if len([line for line in lines if line.startswith("refused")]) != 16 or any(line.startswith("ALLOWED") for line in lines):
        raise Failed("the sandbox let something through, or the probe did not run to its end")
    if "needed: unix, ipv4, ipv6" not in lines or "needed: 1 camera" not in lines:
        raise Failed("the sandbox keeps from the service what it needs")
    bench.report.block("systemd-analyze in the machine", board.run(
        "systemd-analyze verify --man=no cv-agent.service 2>&1; systemd-analyze security cv-agent | tail -n 1"))
    bench.viewer.first_frame(time.time(), 30)


def instance(bench):
    """a second camera as cv-agent@side.service"""
    board = bench.board
    board.plug(port=2)
    wait_for("second camera", lambda: board.run("ls /dev/v4l/by-id/*port2*index0", check=False), 15)
    board.run(f"sed 's|^name = .*|name = \"side\"|; s|^source = .*|source = \"/dev/v4l/by-id/"
              f"usb-VM_test_UVC_MJPEG_camera_port2-video-index0\"|' {CONFIG} > /etc/cv-agent/side.toml")
    board.run("systemctl start cv-agent@side")

    def both():
        live = [c["name"] for c in bench.relay.cameras() if c["state"] == "live"]
        return sorted(live) == [CAMERA, "side"]

    wait_for("two live cameras at the relay", both, 30)
    bench.report.line("status of cv-agent@side", board.status("cv-agent@side"))
    board.run("systemctl stop cv-agent@side; rm /etc/cv-agent/side.toml")
    board.unplug(port=2)


def upgrade(bench):
    """an upgrade keeps the settings and restarts the service; remove stops it; purge leaves nothing behind"""
    board = bench.board
    settings = board.run(f"sha256sum {CONFIG}")
    before = board.pid()
    names = " ".join(f"/root/{package.name}" for package in bench.packages)
    board.run(f"apt-get install -y --reinstall {names}")
    if board.run(f"sha256sum {CONFIG}") != settings:
        raise Failed("the settings were not kept")
    if board.pid() in (0, before):
        raise Failed("the service was not restarted")
    bench.viewer.first_frame(time.time(), 30)
    board.run("apt-get remove -y cv-agent")
    if board.run("systemctl is-active cv-agent", check=False) == "active" or board.run("pgrep -c cv-agent", check=False) != "0":
        raise Failed("the service still runs after remove")
    if board.run(f"sha256sum {CONFIG}") != settings:
        raise Failed("remove took the settings")
    board.run("apt-get purge -y cv-agent cv-agent-litert")
    left = board.run("ls -d /etc/cv-agent /usr/share/cv-agent /usr/lib/cv-agent /run/cv-agent /usr/bin/cv-agent "
                     "/etc/systemd/system/multi-user.target.wants/cv-agent* 2>/dev/null", check=False)
    if left:
        raise Failed(f"purge left {left}")
    bench.report.line("after purge", "nothing left")


def many_unplugs(bench):
    """camera unplugged fifty times: no descriptor, thread or memory leaks"""
    board, report = bench.board, bench.report
    before, figures, delays = service_state(bench), [], []
    for n in range(bench.unplugs):
        board.unplug()
        time.sleep(1.5)
        plugged = time.time()
        board.plug()
        node = board.node_time(timeout=30)
        delays.append(bench.viewer.first_frame(plugged, 30)["t"] - node)
        if n % 10 == 0 or n == bench.unplugs - 1:
            time.sleep(2)
            figures.append((n + 1, board.process()))
    same_process(bench, before)
    for n, figure in figures:
        report.line(f"after unplug {n}", str(figure))
    report.line("device node to first frame", f"median {statistics.median(delays):.2f} s, longest {max(delays):.2f} s")
    if figures[-1][1]["fds"] > figures[0][1]["fds"] or figures[-1][1]["threads"] > figures[0][1]["threads"]:
        raise Failed("descriptors or threads were lost")


def long_run(bench):
    """memory does not grow over a long run"""
    board, figures, began = bench.board, [], time.time()
    before = service_state(bench)
    while time.time() - began < bench.minutes * 60:
        figures.append((time.time() - began, board.process()))
        time.sleep(60)
    figures.append((time.time() - began, board.process()))
    same_process(bench, before)
    for seconds, figure in figures[:: max(1, len(figures) // 10)] + figures[-1:]:
        bench.report.line(f"after {seconds / 60:.0f} min", str(figure))
    half = [f["rss_kb"] for seconds, f in figures if seconds > bench.minutes * 30]
    growth = half[-1] - half[0]
    bench.report.line("growth over the second half", f"{growth} kB")
    if growth > 2048 or figures[-1][1]["fds"] > figures[1][1]["fds"]:
        raise Failed(f"memory grew by {growth} kB in the second half, or descriptors were lost: {figures[-1][1]}")


SHORT = [install, video, unplug, relay_gone, network_cut, watchdog_capture, watchdog_detect, power_cut, frozen, reload,
         wrong_settings, back_off, sandbox, instance, upgrade]
LONG = [many_unplugs, long_run]
