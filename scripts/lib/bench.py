"""Measures the program and prints one JSON line a figure. What is measured, and against what, is in docs/benchmarks.md.

CPU and memory are the figures to trust: on a machine that others use too, wall times say more about them than about us.
"""

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import handler
from handler import Handler, say

CALLERS = 16
QUESTIONS = [json.loads(line)["question"] for line in (handler.ROOT / "samples/questions.jsonl").open(encoding="utf-8")]
FAILED = []


def figure(name: str, value: float, unit: str, goal: float | None = None) -> None:
    """A goal is the most that a figure may be; a figure without one is there to be watched."""
    ok = None if goal is None else value <= goal
    if ok is False:
        FAILED.append(name)
    print(json.dumps({"name": name, "value": round(value, 3), "unit": unit, "goal": goal, "ok": ok}), flush=True)


def with_samples(program: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """A data folder in which the sample documents are indexed."""
    data = folder / "data"
    if handler.ingest(program, data, handler.SAMPLES).wait() != 0:
        raise SystemExit("scripts/bench: the sample documents could not be ingested")
    return data


def ask(running: Handler, question: str) -> None:
    status, body = running.post("/api/chat", {"message": question})
    if status != 200:
        raise SystemExit(f"scripts/bench: a question was answered {status}: {body[:200]!r}")


def bench_start(program: pathlib.Path, folder: pathlib.Path, quick: bool) -> None:
    """From the start of the process under the Functions host; a process is killed to read its exact CPU time."""
    data = with_samples(program, folder)
    health_cpu, health_wall, chat_cpu, chat_wall, rest = [], [], [], [], []
    for run in range(5 if quick else 25):
        running = Handler(program, data)
        running.wait_until_healthy()
        health_wall.append((time.monotonic() - running.started) * 1000)
        health_cpu.append(running.kill())
        running = Handler(program, data)
        running.wait_until_healthy()
        ask(running, QUESTIONS[run % len(QUESTIONS)])
        chat_wall.append((time.monotonic() - running.started) * 1000)
        chat_cpu.append(running.kill())
    for _ in range(3):
        running = Handler(program, data)
        running.wait_until_healthy()
        time.sleep(1)
        rest.append(running.memory_mb())
        running.kill()
    figure("start_first_200_cpu", statistics.median(health_cpu), "ms", 10)
    figure("start_first_200_wall", statistics.median(health_wall), "ms")
    figure("start_first_chat_cpu", statistics.median(chat_cpu), "ms", 20)
    figure("start_first_chat_wall", statistics.median(chat_wall), "ms")
    figure("memory_at_rest", statistics.median(rest), "MB", 20)
    package = handler.ROOT / "dist/knowledge-worker.zip"
    if package.exists():
        figure("package_zip", package.stat().st_size / 1e6, "MB", 20)


def bench_chat(program: pathlib.Path, folder: pathlib.Path, quick: bool) -> None:
    """Sixteen callers at once, each on a connection that it keeps: answers of a model that costs nothing, and extractive
    ones, where searching and choosing sentences is all the work there is."""
    data = with_samples(program, folder)
    with fake_model() as address:
        model = {"OPENAI_BASE_URL": address, "OPENAI_MODEL": "fake"}
        whole, streamed, memory = chats(program, data, 20 if quick else 100, **model)
    figure("chat_model_whole_cpu", whole, "ms", 0.40)
    figure("chat_model_streamed_cpu", streamed, "ms", 0.65)
    figure("chat_model_memory_after", memory, "MB")
    whole, streamed, memory = chats(program, data, 50 if quick else 250)
    figure("chat_extractive_whole_cpu", whole, "ms")
    figure("chat_extractive_streamed_cpu", streamed, "ms")
    figure("chat_extractive_memory_after", memory, "MB")


def chats(program: pathlib.Path, data: pathlib.Path, count: int, **settings: str) -> tuple[float, float, float]:
    """CPU milliseconds of a chat, whole and streamed, and megabytes of memory afterwards: medians of three processes."""
    whole, streamed, memory = [], [], []
    for _ in range(3):
        running = Handler(program, data, **settings)
        running.wait_until_healthy()
        at_once(running, "/api/chat", 10)
        at_once(running, "/api/chat/stream", 10)
        whole.append(at_once(running, "/api/chat", count))
        streamed.append(at_once(running, "/api/chat/stream", count))
        memory.append(running.memory_mb())
        running.kill()
    return statistics.median(whole), statistics.median(streamed), statistics.median(memory)


@contextlib.contextmanager
def fake_model():
    """The address of a model server that runs meanwhile."""
    script = pathlib.Path(__file__).with_name("fake_model.py")
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as server:
        try:
            yield f"http://127.0.0.1:{server.stdout.readline().strip()}/v1"
        finally:
            server.kill()


def at_once(running: Handler, path: str, chats: int) -> float:
    """CPU milliseconds of the program for one chat."""
    wrong = []

    def caller(number: int) -> None:
        connection = running.connection()
        for count in range(chats):
            body = json.dumps({"message": QUESTIONS[(number + count) % len(QUESTIONS)]})
            connection.request("POST", path, body, {"content-type": "application/json"})
            response = connection.getresponse()
            response.read()
            if response.status != 200:
                wrong.append(response.status)
        connection.close()

    threads = [threading.Thread(target=caller, args=(number,)) for number in range(CALLERS)]
    before = running.cpu_ms()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spent = running.cpu_ms() - before
    if wrong:
        raise SystemExit(f"scripts/bench: {len(wrong)} chats were answered {set(wrong)}")
    return spent / (chats * CALLERS)


def bench_ingest(program: pathlib.Path, folder: pathlib.Path, quick: bool) -> None:
    """`handler ingest` on copies of the samples; its CPU includes the processes that it reads documents in."""
    copies = 1 if quick else 10
    papers = folder / "papers"
    for number in range(copies):
        shutil.copytree(handler.SAMPLES, papers / str(number))
    sizes = [path.stat().st_size for path in papers.rglob("*") if path.is_file()]
    walls, cpus, peaks = [], [], []
    for run in range(3):
        started = time.monotonic()
        process = handler.ingest(program, folder / f"data-{run}", papers)
        _, status, usage = os.wait4(process.pid, 0)
        walls.append(time.monotonic() - started)
        cpus.append(usage.ru_utime + usage.ru_stime)
        peaks.append(usage.ru_maxrss * 1024 / 1e6)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise SystemExit("scripts/bench: the sample documents could not be ingested")
    wall, cpu = statistics.median(walls), statistics.median(cpus)
    figure("ingest_documents", len(sizes) / wall, "1/s")
    figure("ingest_bytes", sum(sizes) / 1e6 / wall, "MB/s")
    figure("ingest_cpu", cpu * 1000 / len(sizes), "ms a document")
    figure("ingest_memory_peak", statistics.median(peaks), "MB")


BENCHES = {"start": bench_start, "chat": bench_chat, "ingest": bench_ingest}


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("names", nargs="+", choices=[*BENCHES, "all"], metavar="NAME", help=", ".join([*BENCHES, "all"]))
    parser.add_argument("--quick", action="store_true", help="fewer runs: to see that it works, not to publish")
    parser.add_argument("--program", type=pathlib.Path, help="a program other than the package's")
    arguments = parser.parse_args()
    program = arguments.program or next((path for path in handler.RELEASE_PROGRAMS if path.exists()), None)
    if program is None:
        raise SystemExit("scripts/bench: there is no release program; run scripts/package")
    if not arguments.program:
        handler.warn_if_older_than_sources(program)
    for name in BENCHES if "all" in arguments.names else arguments.names:
        with tempfile.TemporaryDirectory() as folder:
            BENCHES[name](program.resolve(), pathlib.Path(folder), arguments.quick)
    if FAILED:
        say(f"goals missed: {', '.join(FAILED)}")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    main()
