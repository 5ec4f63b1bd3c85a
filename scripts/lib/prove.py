"""Tries to break promises and prints one JSON line each. The oracle is always what the client itself noted down.

  P1  An upload that was acknowledged is never lost nor doubled, though the process is killed at random moments.
      n counts kills; failures are documents that are not answerable exactly once, in their last acknowledged version.
  P4  One bad document hurts only itself: damaged PDFs among good documents, while people chat.
      n counts damaged documents, with as many good ones among them.
  P5  No input can crash, hang or fill the process: damaged PDFs alone. n counts them. Memory may grow by 50 MB
      beyond what a process takes that has read one good document of each kind.
"""

import argparse
import contextlib
import json
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import threading
import time

import damage
import handler
from handler import GONE, Handler, say

KILLS_A_ROUND = 10
MOST_GROWTH_MB = 50
GIVEN_UP = {"indexed", "quarantined"}


class Notebook:
    """What the client knows: for each name the versions that may be found now, and every version ever tried."""

    def __init__(self):
        self.possible: dict[str, set[str | None]] = {}
        self.tried: dict[str, set[str]] = {}

    def begin(self, name: str, version: str | None) -> None:
        """Until it is acknowledged, a change may have happened or not. None stands for no document."""
        self.possible.setdefault(name, {None}).add(version)
        self.tried.setdefault(name, set())
        if version:
            self.tried[name].add(version)

    def acknowledge(self, name: str, version: str | None) -> None:
        self.possible[name] = {version}

    def wrong(self, running: Handler) -> list[str]:
        """Sentences about documents that are lost, doubled or not in their last version."""
        sentences = []
        for name, possible in self.possible.items():
            found = {version: hits(running, version, name) for version in self.tried[name]}
            present = {version: count for version, count in found.items() if count}
            fits = any(present == ({} if version is None else {version: 1}) for version in possible)
            if not fits:
                sentences.append(f"{name}: found {present}, expected one of {sorted(map(str, possible))}")
        return sentences


def hits(running: Handler, version: str, name: str) -> int:
    """How many passages hold the word of a version. One in another document counts as a second one."""
    status, body = running.post("/api/search", {"query": version, "top_results": 50})
    if status != 200:
        raise RuntimeError(f"/api/search answered {status}")
    results = [result for result in json.loads(body)["results"] if version in result["text"]]
    return sum(1 if result["source"].startswith(name) else 2 for result in results)


class Author:
    """Makes small documents of several formats, each with one word that is found nowhere else."""

    def __init__(self, chance: random.Random):
        self.chance = chance
        self.count = 0

    def new_name(self) -> str:
        self.count += 1
        return f"note-{self.count}.{self.chance.choice(['txt', 'md', 'html', 'csv', 'json', 'pdf'])}"

    def write(self, name: str) -> tuple[str, bytes]:
        """The unique word and the content."""
        word = f"kw{self.chance.getrandbits(60):015x}"
        about = self.chance.choice(["mooring", "battery", "antenna", "anchor", "lantern"])
        sentence = f"The {about} of the buoy is known as {word} and was looked at by the crew."
        content = {
            "txt": sentence,
            "md": f"# About the {about}\n\n{sentence}\n",
            "html": f"<!doctype html><title>{about}</title><p>{sentence}</p>",
            "csv": f"part,remark\n{about},{sentence}\n",
            "json": json.dumps({"part": about, "remark": sentence}),
        }
        kind = name.rpartition(".")[2]
        return word, damage.small_pdf(sentence) if kind == "pdf" else content[kind].encode()


def prove_p1(program: pathlib.Path, folder: pathlib.Path, n: int, chance: random.Random) -> int:
    failures = kills = 0
    while kills < n:
        here = min(KILLS_A_ROUND, n - kills)
        round_folder = folder / f"round-{kills}"
        # Two ways in: a server that is written to while it works, and the command line.
        play = kill_the_command if kills // KILLS_A_ROUND % 3 == 2 else kill_the_server
        try:
            sentences = play(program, round_folder, here, chance)
        except RuntimeError as e:
            sentences = [str(e)]
        kills += here
        failures += len(sentences)
        for sentence in sentences:
            say(f"P1: {sentence}")
        say(f"P1: {kills} of {n} kills, {failures} failures")
        if not sentences:
            shutil.rmtree(round_folder)
    return failures


# The lease of whoever was killed must end while we watch, and so must the time between two comparisons.
IMPATIENT = {"INVOCATION_TIMEOUT_SECONDS": "5", "SWEEP_SECONDS": "1", "MAX_DOCUMENTS_PER_USER": "1000000"}


def kill_the_server(program: pathlib.Path, folder: pathlib.Path, kills: int, chance: random.Random) -> list[str]:
    """A client uploads, replaces and deletes, or drops files into the folder, while the server is killed again and again."""
    data, notebook, author = folder / "data", Notebook(), Author(chance)
    for _ in range(kills):
        running = Handler(program, data, as_server=True, **IMPATIENT)
        running.wait_until_healthy()
        killer = threading.Timer(chance.choice([0.1, 0.5, 2.0]) * chance.random(), running.kill)
        killer.start()
        with contextlib.suppress(*GONE):
            while True:
                change_something(running, folder, notebook, author)
        killer.join()
    running = Handler(program, data, as_server=True, **IMPATIENT)
    running.wait_until_healthy()
    return settle(running, notebook)


def change_something(running: Handler, folder: pathlib.Path, notebook: Notebook, author: Author) -> None:
    """One change. Raises when the server is gone, and then the change stays unacknowledged."""
    chance, old = author.chance, list(notebook.possible)
    name = chance.choice(old) if old and chance.random() < 0.4 else author.new_name()
    present = notebook.possible.get(name) not in (None, {None})
    if present and chance.random() < 0.3:
        delete(running, folder, notebook, name, by_hand=chance.random() < 0.5)
        return
    word, content = author.write(name)
    notebook.begin(name, word)
    if chance.random() < 0.5:
        status, _ = running.upload(name, content)
        if status == 202:
            notebook.acknowledge(name, word)
        return
    # A file that is dropped into the folder is acknowledged by the file system.
    outside = folder / "half-written"
    outside.write_bytes(content)
    outside.rename(folder / "data" / "documents" / name)
    notebook.acknowledge(name, word)
    time.sleep(chance.random() * 0.05)
    if not running.is_alive():
        raise ConnectionError


def delete(running: Handler, folder: pathlib.Path, notebook: Notebook, name: str, by_hand: bool) -> None:
    notebook.begin(name, None)
    if by_hand:
        (folder / "data" / "documents" / name).unlink(missing_ok=True)
        notebook.acknowledge(name, None)
        return
    row = running.documents().get(name)
    if row is None or row["state"] == "deleted":
        return
    status, _ = running.call("DELETE", f"/api/documents/{row['id']}")
    if status == 200:
        notebook.acknowledge(name, None)


def kill_the_command(program: pathlib.Path, folder: pathlib.Path, kills: int, chance: random.Random) -> list[str]:
    """`handler ingest` is killed again and again; a last run that is left alone must make every file answerable."""
    data, papers, notebook, author = folder / "data", folder / "papers", Notebook(), Author(chance)
    papers.mkdir(parents=True)
    for _ in range(kills):
        for _ in range(4):
            name = author.new_name()
            word, content = author.write(name)
            (papers / name).write_bytes(content)
            notebook.begin(name, word)
            notebook.acknowledge(name, word)
        command = handler.ingest(program, data, papers, **IMPATIENT)
        time.sleep(chance.random() * chance.choice([0.05, 0.3, 1.0]))
        command.kill()
        command.wait()
    if handler.ingest(program, data, papers, **IMPATIENT).wait() != 0:
        return ["handler ingest did not finish"]
    running = Handler(program, data, **IMPATIENT)
    running.wait_until_healthy()
    return settle(running, notebook, patience=0)


def settle(running: Handler, notebook: Notebook, patience: float = 60) -> list[str]:
    """What is still wrong when the process has been left alone for a while."""
    deadline = time.monotonic() + patience
    versions = sum(map(len, notebook.tried.values()))
    say(f"P1: {len(notebook.possible)} documents in {versions} versions")
    try:
        while (wrong := notebook.wrong(running)) and time.monotonic() < deadline:
            time.sleep(0.5)
        running.documents()
        return wrong
    finally:
        running.kill()


def prove_p4(program: pathlib.Path, folder: pathlib.Path, n: int, chance: random.Random) -> int:
    return survive(program, folder, n, chance, good=n)


def prove_p5(program: pathlib.Path, folder: pathlib.Path, n: int, chance: random.Random) -> int:
    return survive(program, folder, n, chance, good=0)


def survive(program: pathlib.Path, folder: pathlib.Path, n: int, chance: random.Random, good: int) -> int:
    """Uploads damaged PDFs, with good documents in between, to a server that people chat with."""
    originals = [path.read_bytes() for path in sorted(handler.SAMPLES.rglob("*.pdf"))]
    author, notebook, sentences = Author(chance), Notebook(), []
    running = Handler(program, folder / "data", as_server=True, MAX_DOCUMENTS_PER_USER="1000000", LOG_LEVEL="info")
    running.wait_until_healthy()
    # One of each first, so that what any reading takes is not counted as growth.
    whole = {f"whole-{number}.pdf": content for number, content in enumerate(originals)}
    for name, content in whole.items():
        running.upload(name, content)
    await_rows(running, set(whole), 60)
    before = running.memory_mb("VmHWM")
    with chatting(running) as chats:
        kinds = ["damaged"] * n + ["good"] * good
        chance.shuffle(kinds)
        damaged = set()
        for number, kind in enumerate(kinds):
            if kind == "good":
                name = author.new_name()
                word, content = author.write(name)
                notebook.begin(name, word)
                notebook.acknowledge(name, word)
            else:
                name, content = f"damaged-{number}.pdf", damage.mutate(chance.choice(originals), chance)
                damaged.add(name)
            status, _ = running.upload(name, content)
            if status != 202:
                sentences.append(f"{name}: the upload was answered {status}")
        rows = await_rows(running, damaged | set(notebook.possible), 60 + 2 * n)
    for name in sorted(damaged):
        row = rows.get(name)
        if row is None or row["state"] not in GIVEN_UP:
            sentences.append(f"{name}: it ended as {row and row['state']}")
        elif row["state"] == "quarantined" and not row["error"]:
            sentences.append(f"{name}: it was quarantined without a reason")
        elif row["attempts"] > 2:
            sentences.append(f"{name}: it was tried {row['attempts']} times")
    sentences += notebook.wrong(running) + chats.wrong
    growth = running.memory_mb("VmHWM") - before
    if growth > MOST_GROWTH_MB:
        sentences.append(f"the process grew by {growth:.0f} MB")
    if not running.is_alive():
        sentences.append("the process ended")
    states = [rows[name]["state"] for name in damaged if name in rows]
    counted = {state: states.count(state) for state in sorted(set(states))}
    say(f"damaged: {counted}; good: {len(notebook.possible)}; chats: {chats.count}; growth: {growth:.0f} MB")
    running.kill()
    for sentence in sentences:
        say(sentence)
    return len(sentences)


def await_rows(running: Handler, names: set[str], patience: float) -> dict[str, dict]:
    """The ledger, once every name is done with or patience ends."""
    deadline = time.monotonic() + patience
    while True:
        rows = running.documents()
        if all(rows.get(name, {}).get("state") in GIVEN_UP for name in names) or time.monotonic() > deadline:
            return rows
        time.sleep(0.25)


class Chats:
    def __init__(self):
        self.count = 0
        self.wrong: list[str] = []


@contextlib.contextmanager
def chatting(running: Handler):
    """Somebody asks the same question all the while, and must get the same answer."""
    chats, over = Chats(), threading.Event()

    def ask() -> None:
        while not over.is_set():
            try:
                status, body = running.post("/api/chat", {"message": "Who founded the buoy works, and in which year?"})
                if status != 200 or b"1987" not in body:
                    chats.wrong.append(f"a chat was answered {status}: {body[:200]!r}")
            except GONE as e:
                chats.wrong.append(f"a chat failed: {e}")
                return
            chats.count += 1
            time.sleep(0.05)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield chats
    finally:
        over.set()
        thread.join()


PROMISES = {"P1": (prove_p1, 60), "P4": (prove_p4, 40), "P5": (prove_p5, 150)}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="scripts/prove", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("promises", nargs="+", choices=[*PROMISES, "all"], metavar="P", help="P1, P4, P5 or all")
    parser.add_argument("--n", type=int, help="how many trials; more of them bound the rate of failures lower")
    parser.add_argument("--seed", type=int, default=1, help="the same seed makes the same documents and moments")
    parser.add_argument("--program", type=pathlib.Path, default=handler.DEVELOPMENT_PROGRAM)
    arguments = parser.parse_args()
    failed = False
    for name in PROMISES if "all" in arguments.promises else arguments.promises:
        prove, usual = PROMISES[name]
        n, started = arguments.n or usual, time.monotonic()
        folder = pathlib.Path(tempfile.mkdtemp(prefix=f"prove-{name}-"))
        # A copy, so that a build meanwhile changes nothing here.
        program = pathlib.Path(shutil.copy2(arguments.program, folder / "handler"))
        failures = prove(program, folder, n, random.Random(f"{name} {arguments.seed}"))
        if failures == 0:
            shutil.rmtree(folder)
        else:
            say(f"{name}: what was left is in {folder}, with the log")
        line = {"id": name, "n": n, "failures": failures, "seed": arguments.seed}
        line |= {"seconds": round(time.monotonic() - started, 1), "ok": failures == 0}
        print(json.dumps(line), flush=True)
        failed |= failures > 0
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    main()
