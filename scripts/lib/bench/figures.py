"""What every benchmark shares: how a figure is printed, and a program that knows the sample documents."""

import json
import pathlib

import handler
from handler import Handler

QUESTIONS = [json.loads(line)["question"] for line in (handler.ROOT / "samples/questions.jsonl").open(encoding="utf-8")]
FAILED: list[str] = []


def figure(
    name: str, value: float, unit: str, goal: float | None = None, least: bool = False, digits: int = 3
) -> None:
    """A goal is the most that a figure may be, or with `least` the least; one without a goal is there to be watched."""
    ok = None if goal is None else value >= goal if least else value <= goal
    if ok is False:
        FAILED.append(name)
    goal = goal and round(goal, digits)
    print(json.dumps({"name": name, "value": round(value, digits), "unit": unit, "goal": goal, "ok": ok}), flush=True)


def with_samples(program: pathlib.Path, folder: pathlib.Path, **settings: str) -> pathlib.Path:
    """A data folder in which the sample documents are indexed, as the timer leaves it that looks after the index."""
    data = folder / "data"
    if handler.ingest(program, data, handler.SAMPLES, **settings).wait() != 0:
        raise SystemExit("scripts/bench: the sample documents could not be ingested")
    if handler.command(program, data, "index", "maintain", **settings).wait() != 0:
        raise SystemExit("scripts/bench: the index could not be maintained")
    return data


def ask(running: Handler, question: str) -> None:
    status, body = running.post("/api/chat", {"message": question})
    if status != 200:
        raise SystemExit(f"scripts/bench: a question was answered {status}: {body[:200]!r}")
