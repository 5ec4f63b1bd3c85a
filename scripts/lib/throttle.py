"""P11 and P12: limits that hold for several processes together, whatever callers write into their requests."""

import contextlib
import datetime
import json
import pathlib
import random
import sqlite3
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from handler import GONE, ROOT, Handler, free_port, say

LIMIT = 30
WINDOW = 60
# What callers write to seem to come from elsewhere.
FORGED = ["X-Forwarded-For", "x-forwarded-for", "Forwarded", "X-Real-IP", "X-Client-IP", "True-Client-IP", "X-Azure-ClientIP"]
FORGED += ["X-Azure-SocketIP", "CF-Connecting-IP", "X-Cluster-Client-IP", "X-ARR-ClientIP", "Via", "Host"]
BUDGET = 300_000


@contextlib.contextmanager
def redis_server():
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        yield f"redis://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def address(chance: random.Random) -> str:
    return ".".join(str(chance.randrange(1, 255)) for _ in range(4))


def forged(chance: random.Random) -> list[tuple[str, str]]:
    """A few headers, some of them twice; last the entry that a proxy of ours would write."""
    chosen = chance.choices(FORGED, k=chance.randrange(1, 5))
    lines = [(name, f"for={address(chance)}" if name == "Forwarded" else address(chance)) for name in chosen]
    return [*lines, ("X-Forwarded-For", "198.51.100.7:4000")]


def ask(running: Handler, headers: list[tuple[str, str]]) -> tuple[int, int]:
    """The status, and the seconds to wait."""
    body = json.dumps({"message": "When does the ferry leave?"}).encode()
    with contextlib.closing(running.connection()) as connection:
        connection.putrequest("POST", "/api/chat", skip_host=True)
        if not any(name == "Host" for name, _ in headers):
            connection.putheader("Host", "example.org")
        for name, value in [("content-type", "application/json"), ("content-length", str(len(body))), *headers]:
            connection.putheader(name, value)
        connection.endheaders(body)
        response = connection.getresponse()
        response.read()
        return response.status, int(response.headers.get("retry-after", 0))


def prove_p11(program: pathlib.Path, folder: pathlib.Path, n: int, chance: random.Random) -> tuple[int, dict]:
    sentences, admitted, waits, lock = [], [], [], threading.Lock()
    with redis_server() as redis:
        settings = {"CHAT_RATE_LIMIT_PER_MINUTE": str(LIMIT), "REDIS_URL": redis, "FORWARDED_HOPS": "1"}
        running = [Handler(program, folder / str(number) / "data", **settings) for number in range(3)]
        for process in running:
            process.wait_until_healthy()

        def one(number: int, headers: list[tuple[str, str]]) -> None:
            began = time.monotonic()
            status, wait = ask(running[number % 3], headers)
            with lock:
                if status == 200:
                    admitted.append((began, time.monotonic()))
                elif status == 429 and 1 <= wait <= WINDOW + 1:
                    waits.append(wait)
                else:
                    sentences.append(f"status {status} with retry-after {wait}")

        trials = [(number, forged(chance)) for number in range(n)]
        with ThreadPoolExecutor(24) as pool:
            for _ in pool.map(lambda trial: one(*trial), trials):
                pass
        if n > LIMIT and not waits:
            sentences.append("nobody was refused: nothing was shown")
        # Who comes back when he was told to gets in.
        if waits:
            status, wait = ask(running[0], [("X-Forwarded-For", "198.51.100.7")])
            time.sleep(wait)
            if status == 429 and ask(running[1], [("X-Forwarded-For", "198.51.100.7")])[0] != 200:
                sentences.append(f"still refused after the {wait} s that were told")
        for process in running:
            process.kill()
    # As many as certainly lie within one minute, seen from where they began and ended.
    admitted.sort()
    most = max((sum(1 for other in admitted if began <= other[0] and other[1] <= began + WINDOW) for began, _ in admitted), default=0)
    if most > LIMIT:
        sentences.append(f"{most} were let in within a minute")
    for sentence in sentences:
        say(f"P11: {sentence}")
    return len(sentences), {"limit": LIMIT, "admitted": len(admitted), "most_in_a_minute": most, "refused": len(waits)}


def prove_p12(program: pathlib.Path, folder: pathlib.Path, n: int, chance: random.Random) -> tuple[int, dict]:
    model = subprocess.Popen(["python3", ROOT / "scripts" / "lib" / "fake_model.py"], stdout=subprocess.PIPE, text=True)
    try:
        return spend(program, folder, n, chance, model.stdout.readline().strip())
    finally:
        model.kill()
        model.wait()


def spend(program: pathlib.Path, folder: pathlib.Path, n: int, chance: random.Random, port: str) -> tuple[int, dict]:
    settings = {"OPENAI_BASE_URL": f"http://127.0.0.1:{port}/v1", "OPENAI_MODEL": "fake", "CACHE_ANSWER_SECONDS": "0"}
    settings |= {"TOKEN_BUDGET_PER_DAY": str(BUDGET), "INVOCATION_TIMEOUT_SECONDS": "5"}
    data = folder / "data"
    (data / "documents").mkdir(parents=True)
    (data / "documents" / "desk.md").write_text("# Desk\n\nThis takes a few days and is settled by the duty desk of the works.\n")
    running, spent, kills, statuses, lock = None, 0, 0, {}, threading.Lock()

    def one(number: int) -> None:
        nonlocal spent
        question = f"How many days does the duty desk of the works take for case {number}?"
        body = json.dumps({"model": "knowledge-worker", "messages": [{"role": "user", "content": question}]}).encode()
        try:
            status, answer = running.call("POST", "/v1/chat/completions", body, {"content-type": "application/json"})
        except GONE:
            status, answer = 0, b""
        with lock:
            statuses[status] = statuses.get(status, 0) + 1
            if status == 200:
                spent += json.loads(answer)["usage"]["total_tokens"]

    parts = 4
    for part in range(parts):
        running = Handler(program, data, **settings)
        running.wait_until_healthy()
        if part == 0:
            running.blob_came("desk.md")
        # The last part ends by itself.
        killer = threading.Timer(0.3 + 0.7 * chance.random(), running.kill)
        if part < parts - 1:
            killer.start()
            kills += 1
        with ThreadPoolExecutor(64) as pool:
            list(pool.map(one, range(part * n // parts, (part + 1) * n // parts)))
        killer.cancel()
    # What the killed ones had set aside is nobody's any more when an answer's time is over.
    time.sleep(6)
    one(n)
    held = accounts(data)
    running.kill()
    sentences = []
    if spent > BUDGET + 1_000:
        sentences.append(f"{spent} tokens were spent of {BUDGET}")
    if held:
        sentences.append(f"{len(held)} reservations were left")
    if not statuses.get(200) or not statuses.get(429):
        sentences.append(f"nobody was answered or nobody refused, which shows nothing: {statuses}")
    strange = set(statuses) - {0, 200, 429}
    if strange:
        sentences.append(f"answered with {sorted(strange)}")
    for sentence in sentences:
        say(f"P12: {sentence}")
    return len(sentences), {"budget": BUDGET, "spent": spent, "kills": kills, "statuses": {str(k): v for k, v in sorted(statuses.items())}}


def accounts(data: pathlib.Path) -> list[str]:
    """What is still set aside although its time is over."""
    with contextlib.closing(sqlite3.connect(f"file:{data / 'records.db'}?mode=ro", uri=True)) as records:
        rows = records.execute("SELECT body FROM records WHERE partition LIKE 'budget/%'").fetchall()
    now = datetime.datetime.now(datetime.timezone.utc).isoformat()
    return [held for (body,) in rows for held, row in json.loads(body)["held"].items() if row["until"] < now]
