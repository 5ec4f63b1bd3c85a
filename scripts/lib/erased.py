"""P30: documents, conversations and people are erased, and what was theirs is looked for in every file that is left: stores, their
logs and leftovers, copies of the index, the cache that processes share, backups, reports and the log."""

import json
import pathlib
import random
import socket
import subprocess
import threading
import time
import http.server

from handler import Handler, environment, say
from rights import SECRET, Person
from throttle import redis_server

CACHE_SECONDS = 1


class Sink(http.server.BaseHTTPRequestHandler):
    """Takes tasks; nobody confirms one here."""

    def do_POST(self):
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


class House:
    """A running product, and what is done in it by people who will be forgotten."""

    def __init__(self, program: pathlib.Path, folder: pathlib.Path, redis: str, chance: random.Random):
        self.program, self.folder, self.data, self.chance, self.redis = program, folder, folder / "data", chance, redis
        self.copies = folder / "temporary"
        self.copies.mkdir()
        sink = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sink)
        threading.Thread(target=sink.serve_forever, daemon=True).start()
        self.settings = {
            "AUTH": "shared-key", "SECRET_KEY": SECRET, "REDIS_URL": redis, "CACHE_ANSWER_SECONDS": str(CACHE_SECONDS), "BACKUP_KEEP": "1",
            "CACHE_SEARCH_SECONDS": str(CACHE_SECONDS), "INDEX_REFRESH_SECONDS": "0", "ACTIONS": "create_task", "TMPDIR": str(self.copies),
            "ACTION_WEBHOOK_URL": f"http://127.0.0.1:{sink.server_port}/", "MAX_DOCUMENTS_PER_USER": "100000", "LOG_LEVEL": "debug",
        }  # fmt: skip
        self.running = Handler(program, self.data, **self.settings)
        self.running.wait_until_healthy()

    def word(self) -> str:
        return "".join(self.chance.choice("bcdfghjklmnpqrstvwxz") for _ in range(14))

    def call(self, who: Person, method: str, path: str, value: object = None, **more: str) -> tuple[int, dict]:
        headers = {"authorization": f"Bearer {who.token()}", "content-type": "application/json"} | more
        status, body = self.running.call(method, path, None if value is None else json.dumps(value).encode(), headers)
        return status, json.loads(body) if body[:1] in (b"{", b"[") else {}

    def upload(self, who: Person, name: str, text: str) -> str:
        mark = "----a-mark"
        body = f'--{mark}\r\ncontent-disposition: form-data; name="file"; filename="{name}"\r\n\r\n{text}\r\n--{mark}--\r\n'
        headers = {"authorization": f"Bearer {who.token()}", "content-type": f"multipart/form-data; boundary={mark}"}
        status, answer = self.running.call("POST", "/api/upload", body.encode(), headers)
        self.running.blob_came(name)
        if status != 202:
            raise RuntimeError(f"an upload was answered {status} {answer[:200]}")
        return json.loads(answer)["documents"][0]["id"]

    def live(self, number: int) -> dict:
        """Somebody brings a document, asks about it in several ways, says what they think of it and wants something done."""
        who, words = Person("home", f"person-{number}", []), {kind: self.word() for kind in ("document", "question", "comment", "task")}
        document = self.upload(who, f"report-{number}.md", f"# Report {number}\n\nThe pilot of the harbour is called {words['document']}.\n")
        asked = {"message": f"Is the pilot of the harbour, or {words['question']}, called {words['document']}?", "conversation_id": "harbour"}
        self.call(who, "POST", "/api/chat", asked, **{"idempotency-key": "k"})
        self.call(who, "POST", "/api/search", {"query": f"pilot {words['document']} {words['question']}"})
        rated = {"conversation_id": "harbour", "turn": 1, "rating": "up", "comment": f"Thanks, {words['comment']}"}
        self.call(who, "POST", "/api/feedback", rated)
        task = {"title": f"Call {words['task']}", "description": "Ask for the tide."}
        self.call(who, "POST", "/api/actions", {"action_type": "create_task", "parameters": task})
        return {"who": who, "document": document, "words": words}

    def erase(self, life: dict, kind: str) -> list[str]:
        """Erases, and gives the words that must be gone then."""
        who, words = life["who"], life["words"]
        if kind == "document":
            status, _ = self.call(who, "DELETE", f"/api/documents/{life['document']}")
            # What was said of it stays in the conversation of whoever asked, until that goes.
            also, _ = self.call(who, "DELETE", "/api/conversations/harbour")
            gone, statuses = [words["document"]], {status, also}
        elif kind == "conversation":
            status, _ = self.call(who, "DELETE", "/api/conversations/harbour")
            gone, statuses = [words["question"]], {status}
        else:
            command = [self.program, "privacy", "erase", f"home/{who.name}", "--yes"]
            ended = subprocess.run(command, env=self.variables(), capture_output=True, check=False)
            gone, statuses = list(words.values()), {200 if ended.returncode == 0 else ended.stderr[:200]}
        if statuses != {200} and statuses != {200, 204} and statuses != {204}:
            raise RuntimeError(f"erasing a {kind} was answered {statuses}")
        return gone

    def variables(self) -> dict[str, str]:
        return environment(self.data, self.settings)

    def command(self, *arguments: str) -> None:
        ended = subprocess.run([self.program, *arguments], env=self.variables(), capture_output=True, check=False)
        if ended.returncode != 0:
            raise RuntimeError(f"{' '.join(arguments)} ended with {ended.returncode}: {ended.stderr[:300]!r}")

    def sweep(self) -> None:
        """What the timers do, and time passes: the cache, and the backup from before."""
        self.running.post("/maintain_index", {"Data": {"timer": {}}, "Metadata": {}})
        self.command("index", "maintain", "--purge", "--grace", "0")
        self.command("backup")
        time.sleep(CACHE_SECONDS + 1)
        # The process lets go of files that it still reads when it looks at the index again.
        self.running.kill()
        self.running = Handler(self.program, self.data, **self.settings)
        self.running.wait_until_healthy()

    def holding(self, words: list[str]) -> dict[str, list[str]]:
        """For each word the places that have it, in any letters."""
        found: dict[str, list[str]] = {}
        places = {str(path.relative_to(self.folder)): path for path in self.folder.rglob("*") if path.is_file() and path.name != "handler"}
        texts = {name: path.read_bytes().lower() for name, path in places.items()} | {"redis": self.cached().lower()}
        for name, text in texts.items():
            for word in words:
                if word.encode() in text:
                    found.setdefault(word, []).append(name)
        return found

    def cached(self) -> bytes:
        """Everything that is in Redis."""
        host, port = self.redis.removeprefix("redis://").split(":")
        with socket.create_connection((host, int(port))) as connection, connection.makefile("rwb") as talk:
            talk.write(b"*2\r\n$4\r\nKEYS\r\n$1\r\n*\r\n")
            talk.flush()
            keys = [bulk(talk) for _ in range(int(talk.readline()[1:]))]
            everything = b"".join(keys)
            for key in keys:
                talk.write(b"*2\r\n$4\r\nDUMP\r\n$%d\r\n%s\r\n" % (len(key), key))
                talk.flush()
                everything += bulk(talk)
            return everything


def bulk(talk) -> bytes:
    length = int(talk.readline()[1:])
    return talk.read(length + 2)[:-2] if length >= 0 else b""


def prove_p30(program: pathlib.Path, folder: pathlib.Path, n: int, chance: random.Random) -> tuple[int, dict]:
    sentences, before, kinds = [], 0, {"document": 0, "conversation": 0, "person": 0}
    with redis_server() as redis:
        house = House(program, folder, redis, chance)
        house.upload(Person("home", "stays", []), "stays.md", "# Stays\n\nThe lighthouse stays where it is.\n")
        done = 0
        while done < n:
            here = min(12, n - done)
            lives = [house.live(done + number) for number in range(here)]
            house.command("backup")
            words = [word for life in lives for word in life["words"].values()]
            found = house.holding(words)
            before += sum(map(len, found.values()))
            if missing := [word for word in words if word not in found]:
                sentences.append(f"{len(missing)} words were nowhere before: nothing was shown")
            gone = []
            for number, life in enumerate(lives):
                kind = list(kinds)[number % 3]
                kinds[kind] += 1
                gone += house.erase(life, kind)
            house.sweep()
            done += here
            for word, places in house.holding(gone).items():
                sentences.append(f"{word} is still in {places[:4]}")
        house.running.kill()
    for sentence in sentences:
        say(f"P30: {sentence}")
    return len(sentences), {**kinds, "places_before": before, "files": sum(1 for path in folder.rglob("*") if path.is_file())}
