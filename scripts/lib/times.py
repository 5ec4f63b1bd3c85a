"""P29: a process whose clock jumps, by seconds around what counts, by minutes, hours and days, back and forth. What must follow of
each jump is known here from the times that were written down."""

import json
import pathlib
import random
import sqlite3
import contextlib

from handler import Handler, say
from repeated import Model, question
from rights import Person, SECRET
from tokens import Days, encode
import hmac

LEEWAY, LONGEST, DAY = 60, 30 * 3_600, 86_400
# What a limit makes anybody wait at most.
WINDOW = 61
# How far ahead a time may lie and still be believed, and how long whoever answers has a key.
APART, LEASE = 300, 60
# A clock that goes wrong by minutes, that is set right, that has a second more, and one that stands still.
JUMPS = [0, 1, -1, 59, 60, 61, -60, 300, -300, 299, -3_600, 3_600, DAY, -DAY, 7 * DAY]


class Clockwork:
    def __init__(self, program: pathlib.Path, folder: pathlib.Path, chance: random.Random):
        self.chance, self.days, self.sentences = chance, Days(folder), []
        self.program, self.data, self.model = program, folder / "data", Model(chance)
        self.settings = {
            "AUTH": "shared-key", "SECRET_KEY": SECRET, "RATE_LIMIT_PER_MINUTE": "100", "CONVERSATION_DAYS": "1", "TOOLS": "off",
            "OPENAI_BASE_URL": f"http://127.0.0.1:{self.model.server_port}/v1", "OPENAI_MODEL": "fake", "CACHE_ANSWER_SECONDS": "0",
            "REWRITE_QUESTIONS": "off", "INVOCATION_TIMEOUT_SECONDS": str(LEASE), "DEFAULT_READERS": "everyone",
        }  # fmt: skip
        documents = self.data / "documents"
        documents.mkdir(parents=True)
        (documents / "desk.md").write_text("# Desk\n\nThis takes a few days and is settled by the duty desk of the works.\n")
        self.running = self.start()
        self.running.blob_came("desk.md")
        self.asked, self.kept = 0, {}

    def start(self) -> Handler:
        started = Handler(self.program, self.data, **self.settings, **self.days.settings())
        started.wait_until_healthy()
        return started

    def fail(self, sentence: str) -> None:
        self.sentences.append(sentence)

    def token(self, who: Person, **times: int) -> str:
        now = self.days.now
        claims = {"iss": "knowledge-worker", "aud": "knowledge-worker", "sub": who.name, "tid": who.tenant, "groups": []}
        claims |= {"iat": now, "nbf": now, "exp": now + 600, "roles": ["KnowledgeWorker.Contributor"]} | times
        message = ".".join(encode(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims))
        return f"{message}.{encode(hmac.digest(SECRET.encode(), message.encode(), 'sha256'))}"

    def call(self, token: str, method: str, path: str, value: object = None, **more: str) -> tuple[int, dict, dict]:
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"} | more
        with contextlib.closing(self.running.connection(120)) as connection:
            connection.request(method, path, None if value is None else json.dumps(value).encode(), headers)
            response = connection.getresponse()
            text = response.read()
            told = {name.lower(): value for name, value in response.headers.items()}
            return response.status, told, json.loads(text) if text else {}

    def tokens(self) -> None:
        """One whose times lie around what counts, and whether it must be let in."""
        now, near = self.days.now, lambda: self.chance.choice([0, 1, -1, 57, 58, 62, 63, -57, -58, -62, 300, -300, 3_600, -3_600])
        iat = now + near()
        nbf, exp = iat + self.chance.choice([0, near()]), iat + self.chance.choice([near(), 600, LONGEST, LONGEST + 1])
        who = Person("home", f"p{self.asked}", [])
        self.asked += 1
        status, _, _ = self.call(self.token(who, iat=iat, nbf=nbf, exp=exp), "GET", "/api/documents?limit=1")
        is_good = iat <= now + LEEWAY and nbf <= now + LEEWAY and exp > now - LEEWAY and 0 < exp - nbf and exp - iat <= LONGEST
        if (status == 200) != is_good or status not in (200, 401):
            self.fail(f"a token of iat {iat - now:+}, nbf {nbf - now:+}, exp {exp - now:+} was answered {status}")

    def limits(self) -> None:
        """Somebody asks too often; how long they have to wait never depends on the clock on the wall."""
        who = Person("home", "hasty", [])
        status, told, _ = self.call(self.token(who), "GET", "/api/documents?limit=1")
        wait = int(told.get("retry-after", 1))
        if status not in (200, 429) or not 1 <= wait <= WINDOW:
            self.fail(f"somebody hasty was answered {status}, with {wait} s to wait")

    def keys(self) -> None:
        """A key that a process had when it died, at a time that the records hold."""
        number = self.asked
        self.asked += 1
        who, key, body = Person("home", "ann", []), f"k{number}", {"message": question(f"t{number}")}
        status, _, _ = self.call(self.token(who), "POST", "/api/chat", body, **{"idempotency-key": key})
        if status != 200:
            return self.fail(f"a keyed question was answered {status}")
        # As if it had died before it was done, with some time to go.
        ahead = self.chance.choice([-300, -1, 1, 30, LEASE, LEASE + APART - 1, LEASE + APART + 2, 3_600, DAY, 365 * DAY])
        until = self.days.now + ahead
        with contextlib.closing(sqlite3.connect(self.data / "records.db", timeout=30)) as records:
            for name, row in records.execute("SELECT id, body FROM records WHERE partition LIKE 'once/%'").fetchall():
                kept = json.loads(row)
                if kept["events"] and key not in self.kept and name not in self.kept.values():
                    self.kept[key] = name
                    kept |= {"events": None, "until": stamp(until)}
                    records.execute("UPDATE records SET body = ? WHERE partition LIKE 'once/%' AND id = ?", [json.dumps(kept), name])
            records.commit()
        status, _, _ = self.call(self.token(who), "POST", "/api/chat", body, **{"idempotency-key": key})
        is_held = 0 < ahead <= LEASE + APART
        if status != (409 if is_held else 200):
            self.fail(f"a key that was held for {ahead:+} s was answered {status}")

    def conversations(self) -> None:
        """One that is kept for a day is there before that is over, and not after; whichever way the clock came there."""
        name, who = f"c-{self.asked}", Person("home", "bob", [])
        self.asked += 1
        self.call(self.token(who), "POST", "/api/chat", {"message": question(name.replace("-", "")), "conversation_id": name})
        began = self.days.now
        for jump in (self.chance.choice([-300, -1, -3_600]), self.chance.choice([300, DAY // 2, DAY - 3_700]), 2 * DAY):
            self.days.move(jump)
            status, _, _ = self.call(self.token(who), "GET", f"/api/conversations/{name}")
            if status != (200 if self.days.now - began < DAY else 404):
                self.fail(f"{self.days.now - began} s after it began a conversation of a day was answered {status}")


def stamp(seconds: int) -> str:
    import datetime

    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def prove_p29(program: pathlib.Path, folder: pathlib.Path, n: int, chance: random.Random) -> tuple[int, dict]:
    work = Clockwork(program, folder, chance)
    trials = {"tokens": 0, "limits": 0, "keys": 0, "conversations": 0}
    for _ in range(n):
        work.days.move(chance.choice(JUMPS))
        kind = chance.choice(["tokens"] * 12 + ["limits"] * 5 + ["keys"] * 2 + ["conversations"])
        trials[kind] += 1
        getattr(work, kind)()
        if not work.running.is_alive():
            work.fail("the process ended")
            work.running = work.start()
    work.running.kill()
    for sentence in work.sentences:
        say(f"P29: {sentence}")
    return len(work.sentences), trials
