"""Starts the program, talks to it over HTTP and ends it: what measuring and proving share. Standard library only."""

import atexit
import contextlib
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import uuid

ROOT = pathlib.Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "samples" / "documents"
RELEASE_PROGRAMS = [ROOT / "dist/package/handler", ROOT / "target/x86_64-unknown-linux-gnu/release/handler"]
DEVELOPMENT_PROGRAM = ROOT / "target/debug/handler"
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
# Anything that fails to talk to a process that is not there yet, or any more.
GONE = (OSError, http.client.HTTPException)
RUNNING: set["Handler"] = set()


def say(text: str) -> None:
    """To the person who watches; results alone go to standard output."""
    print(text, file=sys.stderr, flush=True)


def warn_if_older_than_sources(program: pathlib.Path) -> None:
    newest = max(path.stat().st_mtime for path in (ROOT / "handler").rglob("*.rs"))
    if program.stat().st_mtime < newest:
        say(f"note: {program.relative_to(ROOT)} is older than the sources")


# What is measured or besieged is asked for more than a person would ask.
UNLIMITED = {
    "CHAT_RATE_LIMIT_PER_MINUTE": "0",
    "RATE_LIMIT_PER_MINUTE": "0",
    "ADDRESS_RATE_LIMIT_PER_MINUTE": "0",
    "TOKEN_BUDGET_PER_DAY": "0",
}


def environment(data: pathlib.Path, settings: dict[str, str]) -> dict[str, str]:
    """Nothing of this shell's own environment, so that a setting left in it changes no result."""
    return {"PATH": os.defpath, "KNOWLEDGE_WORKER_DATA": str(data), "LOG_LEVEL": "warn", **UNLIMITED, **settings}


class Handler:
    """One running process. Ends by SIGKILL, as the Functions host ends it."""

    def __init__(self, program: pathlib.Path, data: pathlib.Path, as_server: bool = False, **settings: str):
        self.port = free_port()
        variables = environment(data, settings)
        arguments = [str(program)]
        if as_server:
            arguments += ["serve", "--listen", f"127.0.0.1:{self.port}"]
        else:
            variables["FUNCTIONS_CUSTOMHANDLER_PORT"] = str(self.port)
        data.mkdir(parents=True, exist_ok=True)
        log = os.open(data.parent / "handler.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        redirected = [(os.POSIX_SPAWN_DUP2, log, 1), (os.POSIX_SPAWN_DUP2, log, 2)]
        self.started = time.monotonic()
        # Not subprocess: a fork of this interpreter would be counted as the program's own work.
        self.pid = os.posix_spawn(program, arguments, variables, file_actions=redirected)
        os.close(log)
        self.usage = None
        RUNNING.add(self)

    def is_alive(self) -> bool:
        if self.usage is None:
            ended, _, usage = os.wait4(self.pid, os.WNOHANG)
            self.usage = usage if ended else None
        return self.usage is None

    def kill(self) -> float:
        """Ends the process and gives the CPU milliseconds of its life, those of its own children included."""
        if self.usage is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self.usage = os.wait4(self.pid, 0)[2]
        RUNNING.discard(self)
        return (self.usage.ru_utime + self.usage.ru_stime) * 1000

    def cpu_ms(self) -> float:
        """So far, without children; in steps of the kernel's clock tick, so measure over many of those."""
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * 1000 / TICKS_PER_SECOND

    def memory_mb(self, field: str = "VmRSS") -> float:
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024 / 1e6
        raise RuntimeError(f"/proc/{self.pid}/status has no {field}")

    def connection(self, timeout: float = 30) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def call(self, method: str, path: str, body: bytes | None = None, headers: dict | None = None, timeout: float = 30):
        """One request on a connection of its own; the status and the body."""
        with contextlib.closing(self.connection(timeout)) as connection:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, response.read()

    def post(self, path: str, value: object):
        return self.call("POST", path, json.dumps(value).encode(), {"content-type": "application/json"})

    def upload(self, name: str, content: bytes):
        mark = uuid.uuid4().hex
        head = f'--{mark}\r\ncontent-disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
        body = head.encode() + content + f"\r\n--{mark}--\r\n".encode()
        return self.call("POST", "/api/documents", body, {"content-type": f"multipart/form-data; boundary={mark}"})

    def blob_came(self, name: str, deliveries: int = 5):
        """What the Functions host sends when a blob came or changed, and sends again when that fails; the last answer."""
        envelope = {"Data": {}, "Metadata": {"name": json.dumps(name)}}
        for _ in range(deliveries):
            status, body = self.post("/ingest_document", envelope)
            if status == 200:
                break
        return status, body

    def wait_until_healthy(self, patience: float = 30) -> None:
        deadline = self.started + patience
        while time.monotonic() < deadline:
            with contextlib.suppress(*GONE):
                if self.call("GET", "/api/health", timeout=5)[0] == 200:
                    return
            if not self.is_alive():
                break
            time.sleep(0.001)
        self.kill()
        raise RuntimeError("the program does not answer; its log is handler.log beside its data folder")

    def documents(self) -> dict[str, dict]:
        """Every row of the ledger, by name."""
        rows, after = [], ""
        while after is not None:
            status, body = self.call("GET", f"/api/documents?limit=200{after and '&after='}{after}")
            if status != 200:
                raise RuntimeError(f"/api/documents answered {status}")
            page = json.loads(body)
            rows += page["documents"]
            after = page["next"]
        names = {row["name"]: row for row in rows}
        if len(names) != len(rows):
            raise RuntimeError("two rows of the ledger have one name")
        return names


@atexit.register
def end_what_still_runs() -> None:
    """Whoever is interrupted leaves no process behind."""
    for running in list(RUNNING):
        running.kill()


def ingest(program: pathlib.Path, data: pathlib.Path, *paths: pathlib.Path, **settings: str):
    """`handler ingest`, started; it ends by itself."""
    return command(program, data, "ingest", "--json", *paths, **settings)


def export(program: pathlib.Path, data: pathlib.Path, **settings: str) -> list[dict]:
    """The passages of the index, as `handler index export` tells them."""
    data.mkdir(parents=True, exist_ok=True)
    told = subprocess.run(
        [program, "index", "export"], env=environment(data, settings), stdout=subprocess.PIPE, check=True
    ).stdout
    return [json.loads(line) for line in told.splitlines()]


def command(program: pathlib.Path, data: pathlib.Path, *arguments: str | pathlib.Path, **settings: str):
    """A command of the program, started; what it says is passed over."""
    data.mkdir(parents=True, exist_ok=True)
    return subprocess.Popen(
        [program, *arguments],
        env=environment(data, settings),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]
