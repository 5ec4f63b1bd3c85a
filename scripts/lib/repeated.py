"""P13 and P21: requests that are sent again and again, and many who write into one conversation, to three processes on the same
records, some of which are killed meanwhile. What was sent and acknowledged is noted here."""

import collections
import http.server
import json
import pathlib
import random
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import fake_model
from handler import GONE, Handler, say
from tokens import library

AT_ONCE = 100
# Whoever was killed has its key for so long.
LEASE_SECONDS = 8
# A turn that is older than this and has no answer is seen as broken off.
LONGEST_ANSWER_SECONDS = 15 * 60
CASE = re.compile(r"for case (\w+)\?")
WORDS = "settled by the duty desk of the works"


class Model(http.server.ThreadingHTTPServer):
    """Answers after a moment, and counts how often it was asked for each case."""

    request_queue_size = 512

    def __init__(self, chance: random.Random):
        super().__init__(("127.0.0.1", 0), Answering)
        self.daemon_threads, self.chance = True, chance
        self.calls: collections.Counter = collections.Counter()
        self.asked = threading.Condition()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, *_):
        """Whoever was killed hangs up."""

    def count(self, case: str) -> None:
        with self.asked:
            self.calls[case] += 1
            self.asked.notify_all()

    def was_asked(self, calls: int) -> bool:
        """Waits until it was asked so often in all, but not much longer than all answers may take."""
        with self.asked:
            return self.asked.wait_for(lambda: self.calls.total() >= calls, timeout=150)


class Answering(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        asked = CASE.findall(json.loads(body)["messages"][-1]["content"])
        self.server.count(asked[-1] if asked else "?")
        answer = b"".join(fake_model.answer(body))
        time.sleep(self.server.chance.uniform(0, 0.3))
        self.wfile.write(answer[: len(answer) // 3])
        self.wfile.flush()
        time.sleep(self.server.chance.uniform(0, 0.3))
        self.wfile.write(answer[len(answer) // 3 :])

    def log_message(self, *_):
        pass


class Three:
    """Three processes on one folder, one of which may be killed and started again."""

    def __init__(self, program: pathlib.Path, folder: pathlib.Path, model: Model, longest_seconds: int):
        self.program, self.data = program, folder / "data"
        self.settings = {
            "OPENAI_BASE_URL": f"http://127.0.0.1:{model.server_port}/v1", "OPENAI_MODEL": "fake", "CACHE_ANSWER_SECONDS": "0",
            "INDEX_REFRESH_SECONDS": "0", "TOOLS": "off", "REWRITE_QUESTIONS": "off", "INVOCATION_TIMEOUT_SECONDS": str(longest_seconds),
        }  # fmt: skip
        documents = self.data / "documents"
        documents.mkdir(parents=True)
        (documents / "desk.md").write_text(f"# Desk\n\nThis takes a few days and is {WORDS}.\n")
        self.running = [self.start() for _ in range(3)]
        self.running[0].blob_came("desk.md")

    def start(self, **more: str) -> Handler:
        started = Handler(self.program, self.data, **self.settings, **more)
        started.wait_until_healthy()
        return started

    def kill_one(self, chance: random.Random) -> None:
        at = chance.randrange(3)
        self.running[at].kill()
        self.running[at] = self.start()

    def post(self, number: int, body: dict, key: str | None = None) -> tuple[int, dict]:
        """The status, 0 where nobody was there any more; and what came with it."""
        headers = {"content-type": "application/json"} | ({"idempotency-key": key} if key else {})
        try:
            status, answer = self.running[number % 3].call("POST", "/api/chat", json.dumps(body).encode(), headers)
            return status, json.loads(answer)
        except (*GONE, ValueError):
            return 0, {}

    def turns(self, conversation: str, on: Handler | None = None) -> list[dict]:
        status, body = (on or self.running[0]).call("GET", f"/api/conversations/{conversation}")
        return json.loads(body)["turns"] if status == 200 else []

    def end(self) -> None:
        for process in self.running:
            process.kill()


def question(case: str) -> str:
    return f"How many days does the duty desk of the works take for case {case}?"


def prove_p13(program: pathlib.Path, folder: pathlib.Path, n: int, chance: random.Random) -> tuple[int, dict]:
    model = Model(chance)
    three = Three(program, folder, model, LEASE_SECONDS)
    sentences, statuses, kills = [], collections.Counter(), 0
    keys = max(1, n // AT_ONCE)
    for number in range(keys):
        case, key = f"k{number}", f"key-{number}"
        body = {"message": question(case), "conversation_id": case}
        is_cut = number % 3 == 1
        with ThreadPoolExecutor(AT_ONCE) as pool:
            sent = [pool.submit(three.post, at, body, key) for at in range(AT_ONCE)]
            if is_cut:
                time.sleep(chance.uniform(0, 0.5))
                three.kill_one(chance)
                kills += 1
        answers = [one.result() for one in sent]
        statuses.update(status for status, _ in answers)
        deadline = time.monotonic() + LEASE_SECONDS + 10
        while (again := three.post(number, body, key))[0] == 409 and time.monotonic() < deadline:
            time.sleep(0.1)
        told = {json.dumps([one["response"], one["turn"]]) for status, one in [*answers, again] if status == 200}
        if again[0] != 200 or len(told) != 1:
            sentences.append(f"{key}: asked again it was answered {again[0]}, with {len(told)} answers in all")
        if strange := {status for status, _ in answers} - ({0, 200, 409} if is_cut else {200, 409}):
            sentences.append(f"{key}: answered with {sorted(strange)}")
        if not 1 <= model.calls[case] <= 1 + is_cut:
            sentences.append(f"{key}: {model.calls[case]} calls of the model and {int(is_cut)} kills")
        states = [turn["state"] for turn in three.turns(case)]
        if states.count("complete") != 1 or (not is_cut and len(states) != 1):
            sentences.append(f"{key}: its turns are {states}")
        other, _ = three.post(number + 1, body | {"message": question("other")}, key)
        if other != 422:
            sentences.append(f"{key}: another body was answered {other}")
    three.end()
    if not statuses[409]:
        sentences.append("nobody was told to wait: nothing was shown")
    for sentence in sentences:
        say(f"P13: {sentence}")
    told = {str(status): count for status, count in sorted(statuses.items())}
    return len(sentences), {"keys": keys, "at_once": AT_ONCE, "kills": kills, "calls": sum(model.calls.values()), "statuses": told}


def prove_p21(program: pathlib.Path, folder: pathlib.Path, n: int, chance: random.Random) -> tuple[int, dict]:
    model = Model(chance)
    # Nobody is cut off but by a kill, however busy the machine is.
    three = Three(program, folder, model, 120)
    sentences, statuses, kills, left = [], collections.Counter(), 0, []
    conversations = max(1, n // AT_ONCE)
    for number in range(conversations):
        name, is_cut = f"c-{number}", number % 2 == 1
        cases = [f"c{number}w{writer}" for writer in range(AT_ONCE)]
        before = model.calls.total()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            sent = [pool.submit(three.post, at, {"message": question(case), "conversation_id": name}) for at, case in enumerate(cases)]
            if is_cut:
                # While answers are under way: sooner nothing is begun, and later all is told.
                if not model.was_asked(before + chance.randint(AT_ONCE // 10, AT_ONCE // 2)):
                    sentences.append(f"{name}: the model was hardly asked")
                three.kill_one(chance)
                kills += 1
        noted = dict(zip(cases, (one.result() for one in sent)))
        statuses.update(status for status, _ in noted.values())
        turns = three.turns(name)
        sentences += [f"{name}: {sentence}" for sentence in compare(noted, turns)]
        left += [(name, turn["number"]) for turn in turns if turn["state"] != "complete"]
    # Long after, what has no answer is said to have none.
    later = three.start(LD_PRELOAD=library(), FAKETIME=f"+{LONGEST_ANSWER_SECONDS + 60}s", FAKETIME_DONT_FAKE_MONOTONIC="1")
    for name in {name for name, _ in left}:
        states = {turn["number"]: turn["state"] for turn in three.turns(name, later)}
        unmarked = [number for of, number in left if of == name and states.get(number) != "incomplete"]
        if unmarked:
            sentences.append(f"{name}: the turns {unmarked} are not marked")
    later.kill()
    three.end()
    if not statuses[200] or (kills and not left):
        sentences.append(f"nothing was shown: {dict(statuses)}, {len(left)} turns were left")
    for sentence in sentences:
        say(f"P21: {sentence}")
    told = {str(status): count for status, count in sorted(statuses.items())}
    return len(sentences), {"conversations": conversations, "writers": AT_ONCE, "kills": kills, "left": len(left), "statuses": told}


def compare(noted: dict[str, tuple[int, dict]], turns: list[dict]) -> list[str]:
    """What is wrong with the turns of a conversation, by what each writer was told."""
    wrong = []
    numbers = [turn["number"] for turn in turns]
    if numbers != sorted(set(numbers)):
        wrong.append(f"the numbers are {numbers}")
    stored = {CASE.findall(turn["question"])[0]: turn for turn in turns}
    if len(stored) != len(turns):
        wrong.append("a question is there twice")
    for case, (status, answer) in noted.items():
        turn = stored.get(case)
        if status == 200 and (turn is None or turn["number"] != answer["turn"] or turn["state"] != "complete"):
            wrong.append(f"{case} was answered as turn {answer.get('turn')}, and there is {turn and (turn['number'], turn['state'])}")
        elif status == 409 and turn is not None:
            wrong.append(f"{case} was refused, and is there")
        elif status not in (0, 200, 409):
            wrong.append(f"{case} was answered with {status}")
        if turn is not None and turn["state"] == "complete" and turn["answer"].count(WORDS) != WHOLE:
            wrong.append(f"{case}: the answer is said to be whole, and is not")
    return wrong


# How often a whole answer says it.
WHOLE = "".join(fake_model.WORDS).count(WORDS)
