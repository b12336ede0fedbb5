"""Runs the checks of checks.py against an arm64 machine with a USB camera and writes docs/board-test.md.

Started by scripts/test-board, which prepares what is named on the command line.
"""
import argparse
import pathlib
import subprocess
import sys
import time
import traceback

import checks
from machine import ROOT, Board, Failed, Relay


class Report:
    """What docs/board-test.md will say."""

    def __init__(self):
        self.parts = []

    def begin(self, check):
        self.parts.append({"title": check.__name__.replace("_", " "), "what": check.__doc__, "lines": [], "took": 0.0,
                           "failed": None})

    def line(self, what, figure):
        print(f"    {what}: {figure}", flush=True)
        self.parts[-1]["lines"].append(f"- {what}: {figure}")

    def command(self, text):
        self.parts[-1]["lines"].append(f"- `{text}`")

    def block(self, what, text):
        self.parts[-1]["lines"].append(f"- {what}:\n\n  ```text\n" + "".join(f"  {line}\n" for line in text.splitlines()) + "  ```")

    def write(self, path, header):
        rows = "\n".join(f"| {part['title']} | {'**failed**' if part['failed'] else 'passed'} | {part['took']:.0f} s | {part['what']} |"
                         for part in self.parts)
        text = header + "\n| check | result | took | what it shows |\n| --- | --- | --- | --- |\n" + rows + "\n"
        for part in self.parts:
            text += f"\n## {part['title']}\n\n{part['what'][0].upper()}{part['what'][1:]}.\n\n"
            if part["failed"]:
                text += f"**Failed:** {part['failed']}\n\n"
            text += "\n".join(part["lines"]) + "\n"
        path.write_text(text)


class Bench:
    """All that a check needs."""

    def __init__(self, args):
        self.work = args.work
        self.packages = args.package
        self.pictures = args.pictures
        self.minutes = args.minutes
        self.unplugs = args.unplugs
        self.board = Board(args.pictures)
        self.relay = Relay(args.relay, args.work / "relay.log")
        self.viewer = None
        self.report = Report()


def host():
    cpu = next(line.split(": ")[1] for line in open("/proc/cpuinfo") if line.startswith("model name"))
    load = open("/proc/loadavg").read().split()[0]
    return cpu.strip(), load


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("--package", type=pathlib.Path, action="append", required=True)
    ap.add_argument("--relay", type=pathlib.Path, required=True)
    ap.add_argument("--pictures", type=pathlib.Path, required=True)
    ap.add_argument("--work", type=pathlib.Path, required=True)
    ap.add_argument("--report", type=pathlib.Path)
    ap.add_argument("--only", type=lambda text: text.split(","), default=None)
    ap.add_argument("--minutes", type=float, default=0)
    ap.add_argument("--unplugs", type=int, default=0)
    ap.add_argument("--keep", action="store_true")
    args = ap.parse_args()

    names = {check.__name__: check for check in checks.SHORT + checks.LONG}
    unknown = set(args.only or []) - set(names)
    if unknown:
        ap.error(f"unknown checks {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    chosen = [c for c in checks.SHORT if args.only is None or c.__name__ in args.only]
    slow = [c for c, wanted in ((checks.many_unplugs, args.unplugs), (checks.long_run, args.minutes)) if wanted]
    # the last check takes the package away
    chosen = [c for c in chosen if c is not checks.upgrade] + slow + [c for c in chosen if c is checks.upgrade]
    if checks.install not in chosen:
        chosen.insert(0, checks.install)

    bench = Bench(args)
    began, load_before = time.time(), host()[1]
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], stdout=subprocess.PIPE, text=True).stdout.strip()
    boot = bench.board.boot()
    bench.relay.start()
    try:
        for check in chosen:
            print(f"==> {check.__name__}: {check.__doc__}", flush=True)
            bench.report.begin(check)
            part, start = bench.report.parts[-1], time.time()
            try:
                check(bench)
            except Failed as failure:
                part["failed"] = str(failure)
            except Exception:
                part["failed"] = traceback.format_exc(limit=3)
            part["took"] = time.time() - start
            if part["failed"]:
                print(f"FAILED: {part['failed']}", flush=True)
                try:
                    (args.work / f"{check.__name__}.journal").write_text(bench.board.run("journalctl --no-pager -n 300"))
                except Exception:
                    pass
                if check is checks.install:
                    break
            else:
                print(f"    passed in {part['took']:.0f} s", flush=True)
            if args.report:
                bench.report.write(args.report, header(args, commit, began, boot, load_before))
    finally:
        if bench.viewer:
            bench.viewer.stop()
        bench.relay.kill()
        if not args.keep:
            for port in (1, 2):
                bench.board.tool("camera", "unplug", "--port", port, check=False)
            bench.board.tool("stop", "--now")

    failed = sum(part["failed"] is not None for part in bench.report.parts)
    print(f"{len(bench.report.parts) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


def header(args, commit, began, boot, load_before):
    cpu, load = host()
    qemu = subprocess.run(["qemu-system-aarch64", "--version"], stdout=subprocess.PIPE, text=True).stdout.split("\n")[0]
    return (
        "# The agent as a service on an arm64 machine with a USB camera\n\n"
        f"Written by `scripts/test-board{''.join(' ' + a for a in extra_arguments(args))}` on "
        f"{time.strftime('%Y-%m-%d %H:%M', time.gmtime(began))} UTC, commit {commit}.\n\n"
        f"- Machine: Debian 12 arm64 with systemd, emulated ({qemu}, two cores, Cortex-A72) on {cpu}; "
        f"boot {boot:.0f} s. The host's load was {load_before} before and {load} after the run (two cores). Emulation is many "
        "times slower than a Raspberry Pi: figures show that things work and how they relate, not a board's speed.\n"
        "- Camera: an emulated UVC webcam that plays `models/clip/demo.mjpeg` at 640x480 and 30 fps.\n"
        "- Relay and viewer run on the host.\n"
        f"- Packages: {', '.join(p.name for p in args.package)}.\n")


def extra_arguments(args):
    given = []
    if args.unplugs:
        given += ["--unplugs", str(args.unplugs)]
    if args.minutes:
        given += ["--minutes", f"{args.minutes:g}"]
    if args.only:
        given += ["--only", ",".join(args.only)]
    return given


if __name__ == "__main__":
    main()
