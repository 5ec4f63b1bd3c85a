"""The cost of an answer while many ask."""

import argparse
import contextlib
import json
import pathlib
import statistics
import subprocess
import sys
import threading

from handler import Handler

from .figures import QUESTIONS, figure, with_samples

CALLERS = 16


def bench_chat(program: pathlib.Path, folder: pathlib.Path, options: argparse.Namespace) -> None:
    """Sixteen callers at once, each on a connection that it keeps: answers of a model that costs nothing, and extractive
    ones, where searching and choosing sentences is all the work there is."""
    data = with_samples(program, folder)
    # The same few questions again and again: what was answered a moment ago would be given again.
    anew = {"CACHE_ANSWER_SECONDS": "0", "CACHE_SEARCH_SECONDS": "0"}
    with fake_model() as address:
        model = {"OPENAI_BASE_URL": address, "OPENAI_MODEL": "fake"} | anew
        whole, streamed, memory = chats(program, data, 20 if options.quick else 100, **model)
    figure("chat_model_whole_cpu", whole, "ms", 0.40)
    figure("chat_model_streamed_cpu", streamed, "ms", 0.65)
    figure("chat_model_memory_after", memory, "MB")
    whole, streamed, memory = chats(program, data, 50 if options.quick else 250, **anew)
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
    script = pathlib.Path(__file__).parents[1] / "fake_model.py"
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
