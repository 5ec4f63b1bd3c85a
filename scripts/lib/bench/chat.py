"""The cost of an answer while many ask, beside two services that do the least an answer needs."""

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import threading

import handler
from handler import Handler

from .figures import QUESTIONS, figure, with_samples

HERE = pathlib.Path(__file__).parent
PYTHON = handler.ROOT / ".cache/bench-chat/bin/python"
CALLERS, OPEN_STREAMS, MODEL_SECONDS = 16, 256, 2.0
ROUNDS = 3
# The same few questions again and again: what was answered a moment ago would be given again.
ANEW = {"CACHE_ANSWER_SECONDS": "0", "CACHE_SEARCH_SECONDS": "0"}
# At most, of ours: CPU milliseconds of a chat, whole and streamed; with many streams open CPU, megabytes, milliseconds that an
# answer takes beyond the model's own time.
GOALS = {"whole_cpu": 0.40, "streamed_cpu": 0.65, "open_cpu": 1.1, "open_memory": 64, "open_beyond_model": 100}


class Listener:
    """Something that only listens."""

    def __init__(self, port: int):
        self.port = port


class Service:
    """A service that a benchmark starts, with the handler's own ways of measuring."""

    cpu_ms, memory_mb = Handler.cpu_ms, Handler.memory_mb

    def __init__(self, command: list, model: str):
        environment = {"PATH": os.defpath, "MODEL_ADDRESS": model, "NODE_ENV": "production"}
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        self.pid, self.port = self.process.pid, int(self.process.stdout.readline())

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def bench_chat(program: pathlib.Path, folder: pathlib.Path, options: argparse.Namespace) -> None:
    """Sixteen callers at once, each on a connection that it keeps: an embedding and an answer of a model that costs nothing, for
    ours and for the others by turns; then as many streams open at once as an instance may have; then extractive answers, where
    searching and choosing sentences is all the work there is."""
    count = 20 if options.quick else 100
    found: dict[tuple[str, str], list[float]] = {}

    def note(name: str, kind: str, value: float) -> None:
        found.setdefault((name, kind), []).append(value)

    with fake_model() as at_once, fake_model(MODEL_SECONDS) as slow:
        settings = {"OPENAI_MODEL": "fake", "OPENAI_EMBEDDING_MODEL": "fake", "EMBEDDING_DIMENSIONS": "256"} | ANEW
        data = with_samples(program, folder, OPENAI_BASE_URL=at_once, **settings)
        kinds = {
            "model": lambda model: Handler(program, data, OPENAI_BASE_URL=model, **settings),
            "node": lambda model: Service([shutil.which("node"), HERE / "services/node_service.mjs"], model),
            "fastapi": lambda model: Service([PYTHON, HERE / "services/fastapi_service.py"], model),
        }
        for _ in range(ROUNDS):
            for name, start in kinds.items():
                with running(start(at_once)) as service:
                    for path in ("/api/chat", "/api/chat/stream"):
                        ask_many(service, path, CALLERS, 10)
                    note(name, "whole_cpu", cpu_of(service, "/api/chat", count))
                    note(name, "streamed_cpu", cpu_of(service, "/api/chat/stream", count))
                    note(name, "memory_after", service.memory_mb())
                with running(start(slow)) as service:
                    for kind, value in open_streams(service, slow).items():
                        note(name, kind, value)
    for (name, kind), values in found.items():
        goal = GOALS.get(kind) if name == "model" else None
        figure(f"chat_{name}_{kind}", statistics.median(values), "MB" if "memory" in kind else "ms", goal)
    extractive(program, with_samples(program, folder / "extractive"), 50 if options.quick else 250)


def extractive(program: pathlib.Path, data: pathlib.Path, count: int) -> None:
    with running(Handler(program, data, **ANEW)) as service:
        for path in ("/api/chat", "/api/chat/stream"):
            ask_many(service, path, CALLERS, 10)
        figure("chat_extractive_whole_cpu", cpu_of(service, "/api/chat", count), "ms")
        figure("chat_extractive_streamed_cpu", cpu_of(service, "/api/chat/stream", count), "ms")
        figure("chat_extractive_memory_after", service.memory_mb(), "MB")


@contextlib.contextmanager
def running(service: Handler | Service):
    """Waits until a service answers, and ends it afterwards."""
    try:
        if isinstance(service, Handler):
            service.wait_until_healthy()
        yield service
    finally:
        service.kill()


@contextlib.contextmanager
def fake_model(seconds: float = 0.0):
    """The address of a model server that runs meanwhile; a chat takes it so long."""
    command = [sys.executable, HERE.parent / "fake_model.py", str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield f"http://127.0.0.1:{server.stdout.readline().strip()}/v1"
        finally:
            server.kill()


def ask_many(service: Handler | Service | Listener, path: str, callers: int, chats: int) -> list[float]:
    """Seconds that each answer took."""
    command = [sys.executable, HERE / "callers.py", str(service.port), path, str(callers), str(chats)]
    asked = subprocess.run(command, input=json.dumps(QUESTIONS), stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(asked.stdout)
    if found["wrong"]:
        raise SystemExit(f"scripts/bench: {found['wrong']} chats were not answered 200")
    return found["seconds"]


def cpu_of(service: Handler | Service, path: str, chats: int) -> float:
    """CPU milliseconds of the service for one chat."""
    before = service.cpu_ms()
    ask_many(service, path, CALLERS, chats)
    return (service.cpu_ms() - before) / (CALLERS * chats)


def open_streams(service: Handler | Service, model: str) -> dict[str, float]:
    """What as many open streams as an instance may have cost: CPU of each, the most memory, and how much longer than the model
    itself an answer takes, in the median."""
    ask_many(service, "/api/chat/stream", CALLERS, 1)
    before, most, done = service.cpu_ms(), [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            most.append(service.memory_mb())

    watcher = threading.Thread(target=watch)
    watcher.start()
    seconds = ask_many(service, "/api/chat/stream", OPEN_STREAMS, 2)
    done.set()
    watcher.join()
    spent = (service.cpu_ms() - before) / (OPEN_STREAMS * 2)
    alone = ask_many(Listener(int(model.rpartition(":")[2].partition("/")[0])), "/v1/chat/completions", OPEN_STREAMS, 2)
    beyond = (statistics.median(seconds) - statistics.median(alone)) * 1000
    return {"open_cpu": spent, "open_memory": max(most), "open_beyond_model": beyond}
