#!/usr/bin/env python3
"""Zips a staged package and checks what Azure cannot check for us.

    package.py FOLDER ZIP --glibc 2.28

The same folder gives the same zip, byte for byte: entries are sorted and carry one fixed time.
"""

import argparse
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile

PROGRAM = "handler"
# A zip cannot say an earlier time.
FIXED_TIME = (1980, 1, 1, 0, 0, 0)
MOST_BYTES = 20_000_000
# What every image with glibc has. Anything else would have to be shipped along.
LIBRARIES = re.compile(r"^(lib(c|m|dl|rt|pthread|util)\.so\.\d+|ld-linux-[\w-]+\.so\.\d+)$")
REGULAR_FILE = 0o100000


class Refused(Exception):
    """The package must not be deployed, and why."""


def write_zip(folder: pathlib.Path, target: pathlib.Path) -> None:
    """Entries at the root of the zip, sorted, with their Unix modes: 0755 for the program and 0644 for the rest."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in files:
            name = path.relative_to(folder).as_posix()
            entry = zipfile.ZipInfo(name, FIXED_TIME)
            entry.create_system = 3  # Unix; otherwise the modes are not read
            entry.external_attr = (REGULAR_FILE | (0o755 if name == PROGRAM else 0o644)) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes())


def check_zip(target: pathlib.Path) -> None:
    with zipfile.ZipFile(target) as archive:
        modes = {entry.filename: (entry.external_attr >> 16) & 0o777 for entry in archive.infolist()}
        damaged = archive.testzip()
    if damaged:
        raise Refused(f"{damaged} cannot be read back from the zip")
    if "host.json" not in modes or not any(name.count("/") == 1 and name.endswith("/function.json") for name in modes):
        raise Refused("host.json or the functions are not at the root of the zip")
    for name, mode in modes.items():
        wanted = 0o755 if name == PROGRAM else 0o644
        if mode != wanted:
            raise Refused(f"{name} has mode {mode:04o} in the zip and must have {wanted:04o}")
    if modes.get(PROGRAM) is None:
        raise Refused(f"the zip holds no `{PROGRAM}`, which host.json names")
    if target.stat().st_size > MOST_BYTES:
        raise Refused(f"the zip has {target.stat().st_size:,} bytes, more than {MOST_BYTES:,}")


def check_program(program: pathlib.Path, glibc: str) -> str:
    """Gives the newest glibc that the program needs."""
    needed = {version_key(found) for found in re.findall(r"\bGLIBC_(\d[\d.]*)", readelf("--version-info", program))}
    newest = max(needed, default=(0,))
    if newest > version_key(glibc):
        raise Refused(f"the program needs glibc {dotted(newest)}, more than {glibc}")
    libraries = re.findall(r"\(NEEDED\).*\[(.+)\]", readelf("--dynamic", program))
    foreign = [library for library in libraries if not LIBRARIES.match(library)]
    if foreign:
        raise Refused(f"the program needs libraries that Azure may not have: {', '.join(foreign)}")
    return dotted(newest)


def readelf(option: str, program: pathlib.Path) -> str:
    return subprocess.run(["readelf", "--wide", option, program], check=True, capture_output=True, text=True).stdout


def version_key(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


def dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def check_start(target: pathlib.Path) -> None:
    """Starts the program out of the zip, as the Functions host would, in a folder with nothing else in it."""
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(target) as archive:
            archive.extract(PROGRAM, folder)
        program = pathlib.Path(folder, PROGRAM)
        program.chmod(0o755)
        port = free_port()
        environment = {"FUNCTIONS_CUSTOMHANDLER_PORT": str(port), "KNOWLEDGE_WORKER_DATA": f"{folder}/data"}
        with open(f"{folder}/log", "w+") as log:
            process = subprocess.Popen([program], cwd=folder, env=environment, stdout=log, stderr=log)
            try:
                wait_for_health(f"http://127.0.0.1:{port}/api/health", process)
            except Refused as why:
                log.seek(0)
                raise Refused(f"{why}\n{log.read()}") from None
            finally:
                process.kill()
                process.wait()


def wait_for_health(url: str, process: subprocess.Popen) -> None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and process.poll() is None:
        try:
            direct.open(url, timeout=2).close()
            return
        except OSError:
            time.sleep(0.02)
    raise Refused("the program does not answer when it is started out of the zip")


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("zip", type=pathlib.Path)
    parser.add_argument("--glibc", required=True, help="the newest glibc that the program may need")
    arguments = parser.parse_args()
    program = arguments.folder / PROGRAM
    newest = check_program(program, arguments.glibc)
    write_zip(arguments.folder, arguments.zip)
    check_zip(arguments.zip)
    started = "not started, because this machine cannot run it"
    if sys.platform == "linux" and os.uname().machine == "x86_64":
        check_start(arguments.zip)
        started = "starts in an empty folder"
    print(f"{arguments.folder}: {program.stat().st_size / 1e6:.1f} MB program, needs glibc {newest}, {started}")
    print(f"{arguments.zip}: {arguments.zip.stat().st_size / 1e6:.1f} MB of at most {MOST_BYTES / 1e6:.0f} MB")


if __name__ == "__main__":
    try:
        main()
    except Refused as why:
        sys.exit(f"scripts/package: {why}")
