"""From the start of the process to its answers."""

import argparse
import pathlib
import statistics
import time

import handler
from handler import Handler

from .figures import QUESTIONS, ask, figure, with_samples


def bench_start(program: pathlib.Path, folder: pathlib.Path, options: argparse.Namespace) -> None:
    """From the start of the process under the Functions host; a process is killed to read its exact CPU time."""
    data = with_samples(program, folder)
    health_cpu, health_wall, chat_cpu, chat_wall, rest = [], [], [], [], []
    for run in range(5 if options.quick else 25):
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
