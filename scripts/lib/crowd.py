"""Many processes write and read one index on one storage account, while some of them are killed."""

import json
import pathlib
import random
import subprocess
import threading
import time

from bench.azurite import Azurite
from handler import GONE, Handler, environment, say

WRITERS, READERS = 8, 4
# Names that all writers write to, so that they meet at the same documents too.
SHARED_NAMES = 10
DOCUMENTS, INDEX = "documents", "knowledge-base"


class Crowd:
    """What the clients know, and the processes that they talk to."""

    def __init__(self, program: pathlib.Path, folder: pathlib.Path, storage: Azurite, chance: random.Random):
        self.program, self.folder, self.storage = program, folder, storage
        self.chance = chance
        self.lock = threading.Lock()
        self.acknowledged: dict[str, set[str]] = {}  # of each name the words of the versions that may be found
        self.running: dict[str, Handler] = {}
        self.killed: set[int] = set()  # by process id
        self.stop = threading.Event()
        self.counts = {"acknowledged": 0, "searches": 0, "kills": 0}
        self.wrong: list[str] = []

    def settings(self) -> dict[str, str]:
        return {
            "AZURE_STORAGE_CONNECTION_STRING": self.storage.connection_string(),
            "INDEX_REFRESH_SECONDS": "0",
            "MAX_DOCUMENTS_PER_USER": "1000000",
        }

    def start(self, name: str) -> Handler:
        running = Handler(self.program, self.folder / name / "data", **self.settings())
        running.wait_until_healthy()
        with self.lock:
            self.running[name] = running
        return running

    def write(self, name: str, chance: random.Random) -> None:
        running, count = self.start(name), 0
        while not self.stop.is_set():
            count += 1
            shared = chance.random() < 0.3
            document = f"shared-{chance.randrange(SHARED_NAMES)}.txt" if shared else f"{name}-{count}.txt"
            word = f"word{name}x{count}"
            with self.lock:
                # Until it is answered, and when others write to the same name, either version may be there.
                self.acknowledged.setdefault(document, set()).add(word)
            try:
                status, body = running.upload(document, f"The lighthouse says {word} tonight.".encode())
                if status < 300:
                    status, body = running.blob_came(document)
                if status >= 300:
                    self.wrong.append(f"{name}: an upload or its trigger answered {status} {body[:200]!r}")
                with self.lock:
                    self.counts["acknowledged"] += 1
                    if not shared:
                        self.acknowledged[document] = {word}
            except GONE:
                if not self.was_killed(running):
                    self.wrong.append(f"{name}: an upload was cut although nobody killed the process")
                if not shared:
                    with self.lock:
                        self.acknowledged[document].add("")  # perhaps it never came
                running = self.start(name)

    def read(self, name: str, chance: random.Random) -> None:
        running = self.start(name)
        while not self.stop.is_set():
            try:
                status, body = running.post("/api/search", {"query": "lighthouse tonight", "top_results": 20})
            except GONE:
                if not self.was_killed(running):
                    self.wrong.append(f"{name}: a search was cut although nobody killed the process")
                running = self.start(name)
                continue
            self.counts["searches"] += 1
            if status != 200:
                self.wrong.append(f"{name}: search answered {status} {body[:200]!r}")

    def was_killed(self, running: Handler) -> bool:
        with self.lock:
            return running.pid in self.killed

    def kill_some(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(self.chance.uniform(0.2, 1.5))
            with self.lock:
                name = self.chance.choice(sorted(self.running)) if self.running else None
                victim = self.running.pop(name) if name else None
                if victim:
                    self.killed.add(victim.pid)
            if victim:
                victim.kill()
                self.counts["kills"] += 1

    def check(self) -> None:
        """A process that has seen nothing of it finds every acknowledged document once, in a version that may be."""
        judge = Handler(self.program, self.folder / "judge" / "data", **self.settings())
        judge.wait_until_healthy(120)
        for document, words in sorted(self.acknowledged.items()):
            found = {word for word in words if word and self.hits(judge, word, document)}
            if len(found) > 1 or (not found and "" not in words):
                self.wrong.append(f"{document}: found {sorted(found)} of {sorted(words)}")
        judge.kill()

    def hits(self, judge: Handler, word: str, document: str) -> int:
        status, body = judge.post("/api/search", {"query": word, "top_results": 5})
        if status != 200:
            raise RuntimeError(f"/api/search answered {status}")
        results = [result for result in json.loads(body)["results"] if f" {word} " in result["text"]]
        if len(results) > 1 or any(result["name"] != document for result in results):
            self.wrong.append(f"{document}: {word} is in {[result['source'] for result in results]}")
        return len(results)

    def command(self, *arguments: str) -> dict:
        variables = environment(self.folder / "judge" / "data", self.settings())
        ran = subprocess.run([self.program, *arguments, "--json"], env=variables, capture_output=True, check=False)
        if ran.returncode != 0:
            self.wrong.append(f"{' '.join(arguments)}: status {ran.returncode} {ran.stderr[-300:]!r}")
        return json.loads(ran.stdout or b"{}")


def prove_crowd(program: pathlib.Path, folder: pathlib.Path, n: int, chance: random.Random) -> tuple[int, dict]:
    """A crowd for n seconds, and then a look at what is left."""
    with Azurite(folder) as storage:
        storage.create(DOCUMENTS, "unused")
        crowd = Crowd(program, folder, storage, chance)
        roles = [(f"writer{n}", crowd.write) for n in range(WRITERS)]
        roles += [(f"reader{n}", crowd.read) for n in range(READERS)]
        seeds = [random.Random(chance.random()) for _ in roles]
        threads = [
            threading.Thread(target=role, args=(name, seed), daemon=True)
            for (name, role), seed in zip(roles, seeds, strict=True)
        ]
        for thread in threads:
            thread.start()
        crowd.kill_some(n)
        crowd.stop.set()
        for thread in threads:
            thread.join(timeout=60)
        crowd.wrong += [f"{thread.name} hangs" for thread in threads if thread.is_alive()]
        for running in crowd.running.values():
            running.kill()
        say(f"CROWD: {crowd.counts}; looking at what is left")
        # What was stored and killed before it was indexed is made good by the timer; then nothing unnamed is kept.
        crowd.command("maintain")
        crowd.command("index", "maintain", "--grace", "0")
        crowd.command("index", "verify")
        crowd.check()
        left, named = set(storage.list(INDEX)), named_files(storage)
        crowd.wrong += [f"{name} is named by nobody" for name in sorted(left - named)]
        crowd.wrong += [f"{name} is missing" for name in sorted(named - left)]
        for sentence in crowd.wrong[:20]:
            say(f"CROWD: {sentence}")
        return len(crowd.wrong), {**crowd.counts, "documents": len(crowd.acknowledged), "files": len(left)}


def named_files(storage: Azurite) -> set[str]:
    """The files that the index consists of."""
    manifest = json.loads(storage.get(INDEX, "manifest.json").splitlines()[1])
    files = {file["name"] for segment in manifest["segments"] for file in segment["files"]}
    return {"manifest.json", *files}
