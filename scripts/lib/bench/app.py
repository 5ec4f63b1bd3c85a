"""The stand-in for the Functions host with the program under it, and what is seen of the program from outside."""

import contextlib
import http.client
import json
import pathlib
import shutil
import subprocess
import threading
import time
import uuid

import handler

from .azurite import Azurite

HOST = handler.ROOT / "target/debug/examples/stand-in-host"
PAGE_BYTES = 4096
SAMPLE_SECONDS = 3


class App:
    """The stand-in host with the program under it."""

    def __init__(self, program: pathlib.Path, folder: pathlib.Path, storage: Azurite):
        package = folder / "package"
        shutil.copytree(handler.ROOT / "function-definitions", package)
        shutil.copy(handler.ROOT / "host.json", package)
        self.program = pathlib.Path(shutil.copy(program, package / "handler"))
        self.port, self.key, self.master = handler.free_port(), uuid.uuid4().hex, uuid.uuid4().hex
        arguments = [HOST, "--package", package, "--listen", f"127.0.0.1:{self.port}"]
        arguments += ["--function-key", self.key, "--master-key", self.master]
        arguments += ["--blob", storage.address("blob"), "--queue", storage.address("queue")]
        # To list everything every 0.2 seconds, as suits a small test, leaves the machine no time for the documents.
        arguments += ["--blob-poll", "30", "--env", f"KNOWLEDGE_WORKER_DATA={folder / 'data'}"]
        arguments += ["--env", "LOG_LEVEL=warn"]
        for name, value in handler.UNLIMITED.items():
            arguments += ["--env", f"{name}={value}"]
        self.log = folder / "host.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(arguments, stdout=log, stderr=log, cwd=folder)

    def __enter__(self):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(*handler.GONE, RuntimeError):
                self.call("GET", "/api/health")
                return self
            time.sleep(0.1)
        self.__exit__()
        raise RuntimeError(f"the stand-in did not start: {self.log.read_text()[-2000:]}")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def call(self, method: str, path: str, value: object = None) -> dict:
        key = self.master if path.startswith("/admin") else self.key
        headers = {"x-functions-key": key, "content-type": "application/json"}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)
        with contextlib.closing(connection):
            connection.request(method, path, None if value is None else json.dumps(value), headers)
            response = connection.getresponse()
            body = response.read()
        if response.status >= 300:
            raise RuntimeError(f"{method} {path} was answered {response.status}: {body[:300]!r}")
        return json.loads(body) if body else {}

    def pid(self) -> int:
        """Of the program, which is a child of the host."""
        children = pathlib.Path(f"/proc/{self.process.pid}/task").glob("*/children")
        found = [int(pid) for one in children for pid in one.read_text().split()]
        if len(found) != 1:
            raise RuntimeError(f"the host has {len(found)} children")
        return found[0]

    def rows(self) -> dict[str, dict]:
        """Every row of the ledger, by name."""
        rows, after = [], ""
        while after is not None:
            page = self.call("GET", f"/api/documents?limit=200{after and '&after='}{after}")
            rows += page["documents"]
            after = page["next"]
        names = {row["name"]: row for row in rows}
        if len(names) != len(rows):
            raise RuntimeError("two rows of the ledger have one name")
        return names


class Watch(threading.Thread):
    """Memory and CPU time of the program, every few seconds until it is stopped."""

    def __init__(self, pid: int):
        super().__init__(daemon=True)
        self.pid, self.memory, self.done = pid, [], threading.Event()
        self.start()

    def run(self) -> None:
        while not self.done.is_set():
            with contextlib.suppress(OSError):
                self.memory.append(self.look())
            self.done.wait(SAMPLE_SECONDS)

    def look(self) -> tuple[float, float]:
        """Megabytes that are resident, and those among them that are of no file, such as the program's or a segment."""
        resident, shared = pathlib.Path(f"/proc/{self.pid}/statm").read_text().split()[1:3]
        return int(resident) * PAGE_BYTES / 1e6, (int(resident) - int(shared)) * PAGE_BYTES / 1e6

    def stop(self) -> None:
        self.done.set()
        self.join()

    def cpu_seconds(self) -> tuple[float, float]:
        """Of the process, and of the children that have ended."""
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        ticks = [int(field) / handler.TICKS_PER_SECOND for field in fields[11:15]]
        return ticks[0] + ticks[1], ticks[2] + ticks[3]
