"""Puts damaged documents of every format, bombs and good documents to one running program, while people chat with it, and
says what came of each."""

import collections
import contextlib
import json
import os
import pathlib
import random
import re
import threading
import time

import bombs
import damage
import originals
from handler import GONE, Handler, say
from watch import Watch
from witness import Author, Notebook

# Of a process that reads documents one after the other, without bombs.
MOST_GROWTH_MB = 50
# Of one that reads four large documents at once, the largest text that is allowed in each.
MOST_GROWTH_WITH_BOMBS_MB = 400
# Tighter than the defaults, so that a bomb which has to be stopped takes no half minute.
SECONDS, MEMORY_MB = 10, 512
# What starting and taking down the child may add.
GRACE_SECONDS = 5
# From the start of an attempt to its end: reading, cutting and indexing, and waiting for those that are indexed before.
DOCUMENT_SECONDS = 60
MOST_SENTENCES = 40
SETTLED = {"indexed", "quarantined"}
# As a child tells of one, and as the process itself does.
PANIC = re.compile(r'(?:panicked at |a panic place="?)(?:\S*/registry/src/[^/]+/)?([^\s:"]+:\d+)')


def prove_p4(program: pathlib.Path, folder: pathlib.Path, n: int, chance: random.Random) -> tuple[int, dict]:
    siege = Siege(program, folder, chance)
    return siege.survive(n, bombs.bombs(), good=n // 5, most_growth_mb=MOST_GROWTH_WITH_BOMBS_MB)


def prove_p5(program: pathlib.Path, folder: pathlib.Path, n: int, chance: random.Random) -> tuple[int, dict]:
    return Siege(program, folder, chance).survive(n, {}, good=0, most_growth_mb=MOST_GROWTH_MB)


class Siege:
    """One program, all that is put to it, and what is wrong so far."""

    def __init__(self, program: pathlib.Path, folder: pathlib.Path, chance: random.Random):
        limits = {"EXTRACT_TIMEOUT_SECONDS": str(SECONDS), "EXTRACT_MEMORY_MB": str(MEMORY_MB)}
        settings = {"MAX_DOCUMENTS_PER_USER": "1000000", "LOG_LEVEL": "info", **limits}
        self.running = Handler(program, folder / "data", as_server=True, **settings)
        self.running.wait_until_healthy()
        self.folder, self.log, self.chance = folder, folder / "handler.log", chance
        self.author, self.notebook = Author(chance), Notebook()
        # The format of every bad document by its name, wherever its name says it is.
        self.kinds: dict[str, str] = {}
        self.sentences: list[str] = []

    def survive(self, n: int, bombs: dict[str, bytes], good: int, most_growth_mb: int) -> tuple[int, dict]:
        self.read_intact_ones()
        before = self.running.memory_mb("VmHWM")
        with chatting(self.running) as chats, Watch(self.running.pid) as watch:
            for name, content in self.documents(n, bombs, good):
                self.put(name, content)
            patience = 60 + 2 * n + SECONDS * len(bombs)
            rows = self.await_rows(self.kinds.keys() | self.notebook.possible.keys(), patience)
            self.judge(rows)
            slowest = self.slowest(rows)
        self.sentences += self.notebook.wrong(self.running) + chats.wrong
        growth, at_rest = self.running.memory_mb("VmHWM") - before, self.running.memory_mb()
        if growth > most_growth_mb:
            self.sentences.append(f"the process grew by {growth:.0f} MB")
        if not self.running.is_alive():
            self.sentences.append("the process ended")
        self.running.kill()
        # Of the process and of every child it ever waited for, as the kernel counted it.
        peak_mb = self.running.usage.ru_maxrss * 1024 / 1e6
        if max(peak_mb, watch.peak_mb) > MEMORY_MB * 1.048576:
            self.sentences.append(f"a process took {max(peak_mb, watch.peak_mb):.0f} MB")
        # Where more wants to run than there are processors, everything takes longer by as much.
        crowd = max(1.0, os.getloadavg()[1] / (os.cpu_count() or 1))
        if watch.longest_seconds > (SECONDS + GRACE_SECONDS) * crowd:
            self.sentences.append(f"a child lived for {watch.longest_seconds:.1f} s")
        if slowest[0] > DOCUMENT_SECONDS * crowd:
            self.sentences.append(f"{slowest[1]}: it took {slowest[0]} s")
        for sentence in self.sentences[:MOST_SENTENCES]:
            say(sentence)
        measured = {
            "slowest_document": {"name": slowest[1], "seconds": slowest[0]},
            "longest_child_seconds": round(watch.longest_seconds, 1),
            "load_per_processor": round(crowd, 1),
            "highest_memory_mb": {"child": round(watch.peak_mb), "any_process": round(peak_mb)},
            "handler_mb": {"before": round(before), "growth": round(growth), "at_rest": round(at_rest)},
        }
        counted = {"good": len(self.notebook.possible), "bombs": len(bombs), "chats": chats.count}
        return len(self.sentences), counted | self.counts(rows) | {"panics": self.panics()} | measured

    def read_intact_ones(self) -> None:
        """Every original once, so that what any reading takes is not counted as growth; and each format has one that is
        read, or else its damaged ones prove nothing."""
        whole = {f"whole-{number}-{one.name}": one for number, one in enumerate(originals.originals())}
        for name, one in whole.items():
            self.put(name, one.content)
        rows = self.await_rows(whole.keys(), 120)
        read = {one.kind for name, one in whole.items() if rows.get(name, {}).get("state") == "indexed"}
        self.sentences += [f"no whole {kind} was read" for kind in {one.kind for one in whole.values()} - read]

    def documents(self, n: int, bombs: dict[str, bytes], good: int):
        """Name and content of each, in the order in which they come."""
        all_of_them = originals.originals()
        by_kind = originals.by_kind(all_of_them)
        attacks = {one.name: one.content for one in originals.attacks()} if bombs else {}
        order = ["damaged"] * n + ["good"] * good + list(attacks) + list(bombs)
        self.chance.shuffle(order)
        for number, what in enumerate(order):
            if what == "good":
                yield self.good_one()
            elif what == "damaged":
                # Every format has its share, however many originals there are of it.
                one = self.chance.choice(by_kind[self.chance.choice(sorted(by_kind))])
                extension, content = damage.damaged(one, all_of_them, self.chance)
                name = f"damaged-{number}.{extension}"
                self.kinds[name] = one.kind
                yield name, content
            else:
                self.kinds[f"bomb-{what}"] = "bomb"
                yield f"bomb-{what}", bombs.get(what) or attacks[what]

    def good_one(self) -> tuple[str, bytes]:
        name = self.author.new_name()
        word, content = self.author.write(name)
        self.notebook.begin(name, word)
        self.notebook.acknowledge(name, word)
        return name, content

    def put(self, name: str, content: bytes) -> None:
        """Drops a file into the folder that the program watches, as people and other programs do; one in ten is uploaded,
        which takes longer: each upload counts the documents of its owner."""
        if self.chance.random() < 0.9:
            outside = self.folder / "half-written"
            outside.write_bytes(content)
            outside.rename(self.folder / "data" / "documents" / name)
            return
        status, body = self.running.upload(name, content)
        if status != 202:
            self.sentences.append(f"{name}: the upload was answered {status}: {body[:200]!r}")

    def await_rows(self, names, patience: float) -> dict[str, dict]:
        """The ledger, once every name is done with or patience ends."""
        deadline = time.monotonic() + patience
        while True:
            rows = self.running.documents()
            if all(rows.get(name, {}).get("state") in SETTLED for name in names) or time.monotonic() > deadline:
                return rows
            time.sleep(0.25)

    def judge(self, rows: dict[str, dict]) -> None:
        for name in sorted(self.kinds):
            row = rows.get(name)
            if row is None or row["state"] not in SETTLED:
                self.sentences.append(f"{name}: it ended as {row and row['state']}: {row and row['error']}")
            elif row["state"] == "quarantined" and not outcome(row).startswith("document-"):
                self.sentences.append(f"{name}: it was quarantined for what is no fault of it: {row['error']}")
            elif row["attempts"] > 1:
                self.sentences.append(f"{name}: it was tried {row['attempts']} times")

    def slowest(self, rows: dict[str, dict]) -> tuple[float, str]:
        """The longest time from the start of an attempt to its end, as the ledger has it, and whose it was."""
        slowest = (0.0, "")
        for name in self.kinds.keys() & rows.keys():
            status, body = self.running.call("GET", f"/api/documents/{rows[name]['id']}")
            events = {event["what"]: event["time"] for event in json.loads(body)["events"]} if status == 200 else {}
            if "started" in events and (end := events.get("indexed") or events.get("quarantined")):
                slowest = max(slowest, (seconds(end) - seconds(events["started"]), name))
        return round(slowest[0], 1), slowest[1]

    def counts(self, rows: dict[str, dict]) -> dict:
        """What came of them: in all, by format, and of each bomb."""
        outcomes = {name: outcome(rows[name]) for name in sorted(self.kinds) if name in rows}
        damaged = {name: found for name, found in outcomes.items() if self.kinds[name] != "bomb"}
        formats: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
        for name, found in damaged.items():
            formats[self.kinds[name]][found] += 1
        by_format = {kind: dict(sorted(formats[kind].items())) for kind in sorted(formats)}
        exploded = {name.removeprefix("bomb-"): found for name, found in outcomes.items() if name not in damaged}
        return {"outcomes": dict(collections.Counter(damaged.values())), "formats": by_format, "exploded": exploded}

    def panics(self) -> dict[str, int]:
        """Where readers panicked, as the log tells, and how often. One in our own sources breaks the promise; one in a
        library ends with the child and is counted."""
        places = collections.Counter(PANIC.findall(self.log.read_text(errors="replace")))
        for place in places:
            if place.startswith("handler/"):
                self.sentences.append(f"a panic of our own at {place}")
                say(self.sentences[-1])
        return dict(places)


def outcome(row: dict) -> str:
    """`indexed`, the code of the error, or a state that nothing should end in."""
    return row["error"]["code"] if row["state"] == "quarantined" and row["error"] else row["state"]


def seconds(time_of_event: str) -> float:
    """The second within a day: nothing here lasts longer."""
    hours, minutes, rest = time_of_event.rstrip("Z").split("T")[1].split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(rest)


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
