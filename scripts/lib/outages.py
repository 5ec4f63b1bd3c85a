"""P14: whatever fails outside, a request ends in its time with the documented problem, the next one is served at once when all is
well again, and nothing is left behind. A server between a real process and its dependencies plays the faults, at the socket."""

import contextlib
import http.client
import json
import os
import pathlib
import random
import socket
import subprocess
import sys
import time
import uuid

from bench.azurite import ACCOUNT, KEY, Azurite
from faults import FAULTS, FaultServer
from handler import GONE, ROOT, Handler, free_port, say
from throttle import redis_server

# The time of an answer and of any request, by their settings, and how much longer a busy machine may take.
ANSWER, INVOCATION, SLACK = 3, 4, 2
# How long the next request may take that is served; what a fault asked to wait, in seconds, and the second over which those
# come back who were refused together.
RECOVERY = 1
WAITS = {"busy-seconds": 2, "busy-date": 2, "busy-ms": 1.2}
# How long what was left behind may take to go, and how much more may stay: connections that wait to be used again.
CLEANUP, SPARE_DESCRIPTORS, SPARE_MEGABYTES = 12, 3, 60
COSMOS_KEY = "a2V5"


class Scene:
    """A real process, with one of its dependencies behind a server that plays faults."""

    def __init__(self, name: str, program: pathlib.Path, folder: pathlib.Path, upstream: int, settings):
        self.name, self.asked = name, 0
        self.faults = FaultServer(upstream)
        usual = {"TIMEOUT_SECONDS": str(ANSWER), "INVOCATION_TIMEOUT_SECONDS": str(INVOCATION)}
        usual |= {"INDEX_REFRESH_SECONDS": "0", "CACHE_SEARCH_SECONDS": "0", "CACHE_ANSWER_SECONDS": "0"}
        usual |= {"COSMOS_DISABLE_IMDS": "true", "MAX_DOCUMENTS_PER_USER": "1000000"}
        if name == "redis":
            # So that Redis is asked.
            usual |= {"CACHE_SEARCH_SECONDS": "600", "CACHE_ANSWER_SECONDS": "300"}
        self.running = Handler(program, folder / name / "data", **usual | settings(self.faults.port))
        self.running.wait_until_healthy()
        # A store keeps what is found; with documents on this machine the file is put there.
        if name.startswith(("documents", "index")):
            self.running.upload("ferry.txt", b"The ferry leaves at nine.")
            self.running.blob_came("ferry.txt")
        else:
            self.ingest("ferry.txt")
        for _ in range(3):
            word, _ = self.probe()
            if word != "answered":
                raise RuntimeError(f"{name} does not work without a fault: {word}")
        self.baseline = self.held()

    def probe(self) -> tuple[str, float]:
        """The request that needs the dependency: `answered` or the code of the problem, and the seconds it took."""
        self.asked += 1
        began = time.monotonic()
        try:
            match self.name:
                case "embeddings":
                    status, body = self.ingest(f"{uuid.uuid4().hex}.txt")
                case "documents":
                    status, body = self.running.upload("other.txt", b"The ferry leaves at nine.")
                case "cosmos":
                    status, body = self.running.call("GET", "/api/documents")
                case _:
                    # Another one each time, so that nobody has kept its answer.
                    status, body = self.running.post("/api/chat", {"message": "When does the ferry leave" + "?" * (self.asked % 900)})
        except GONE as e:
            return f"no answer: {e!r}", time.monotonic() - began
        took = time.monotonic() - began
        with contextlib.suppress(ValueError):
            return "answered" if status < 300 else json.loads(body).get("code", f"status {status}"), took
        return f"status {status}", took

    def has_cache(self) -> bool:
        _, body = self.running.call("GET", "/api/health")
        return json.loads(body)["services"]["cache"] == "healthy"

    def ingest(self, name: str):
        (self.running_data() / name).write_text(f"The ferry leaves at nine, says {name}.")
        return self.running.blob_came(name, deliveries=1)

    def running_data(self) -> pathlib.Path:
        environment = pathlib.Path(f"/proc/{self.running.pid}/environ").read_bytes().split(b"\0")
        data = next(entry for entry in environment if entry.startswith(b"KNOWLEDGE_WORKER_DATA="))
        folder = pathlib.Path(data.partition(b"=")[2].decode()) / "documents"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def held(self) -> tuple[int, float]:
        """Open descriptors, and memory in MB."""
        return len(os.listdir(f"/proc/{self.running.pid}/fd")), self.running.memory_mb()

    def close(self) -> None:
        self.running.kill()
        self.faults.become("refused")


def documented(name: str, fault: str) -> list[str]:
    """What may come of a request, as docs/reliability.md says it."""
    is_busy = fault.startswith("busy")
    if name in ("redis", "index") or fault == "burst":
        return ["answered"]
    if fault in ("hole", "drip"):
        # The client of Cosmos DB may notice by itself that a connection is dead.
        return ["deadline-exceeded", "store-unavailable"] if name == "cosmos" else ["deadline-exceeded"]
    if name in ("chat", "embeddings"):
        return ["model-busy"] if is_busy or fault == "unavailable" else ["model-failed"]
    if name == "index-anew" and fault in ("truncated", "html"):
        return ["index-damaged"]
    return ["store-unavailable", "deadline-exceeded"] if is_busy else ["store-unavailable"]


def cell(scene: Scene, fault: str) -> tuple[dict, list[str]]:
    """One fault of one dependency, and what is wrong with how it ended."""
    wrong, where = [], f"{scene.name}, {FAULTS[fault]}"
    wait_for(lambda: scene.probe()[0] == "answered", 15)
    if scene.name == "redis":
        # Whoever failed a moment ago is left alone for a while, and a verdict on it is kept for a while.
        wait_for(scene.has_cache, 15)
    scene.faults.become(fault)
    word, took = scene.probe()
    calls = scene.faults.calls
    scene.faults.become(None)
    began = time.monotonic()
    limit = RECOVERY + WAITS.get(fault, 0)
    while (again := scene.probe())[0] != "answered" and time.monotonic() - began < 40:
        time.sleep(0.02)
    recovered = time.monotonic() - began
    descriptors, megabytes = scene.baseline

    def is_clean() -> bool:
        now = scene.held()
        return now[0] <= descriptors + SPARE_DESCRIPTORS and now[1] <= megabytes + SPARE_MEGABYTES

    if word not in documented(scene.name, fault):
        wrong.append(f"{where}: {word}, not one of {documented(scene.name, fault)}")
    if took > max(ANSWER, INVOCATION) + SLACK:
        wrong.append(f"{where}: it took {took:.1f} s")
    if recovered > limit:
        wrong.append(f"{where}: served again after {recovered:.1f} s ({again[0]})")
    if not wait_for(is_clean, CLEANUP):
        wrong.append(f"{where}: holds {scene.held()}, before {scene.baseline}")
    if not scene.running.is_alive():
        wrong.append(f"{where}: the process ended")
    now = scene.held()
    line = {"dependency": scene.name, "fault": fault, "came": word, "seconds": round(took, 2), "calls": calls}
    line |= {"served_again": round(recovered, 2), "descriptors": now[0] - descriptors, "mb": round(now[1] - megabytes, 1)}
    return line, wrong


def wait_for(look, patience: float) -> bool:
    deadline = time.monotonic() + patience
    while not look():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@contextlib.contextmanager
def started(command: list[str], port: int | None = None):
    """A server that ends with the proof, and its port: the one it was told, or the one it prints."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL if port else subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        port = port or int(process.stdout.readline())
        if not wait_for(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0, 30):
            raise RuntimeError(f"{command[0]} does not listen")
        yield port
    finally:
        process.kill()
        process.wait()


def cosmos_container(port: int) -> str:
    """A container as an operator makes it."""
    made = json.loads((ROOT / "docs/cosmos-container.json").read_text())["properties"]["resource"]
    made["id"] = f"records-{uuid.uuid4().hex}"
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("POST", "/dbs/knowledge-worker/colls", json.dumps(made))
        if (status := connection.getresponse().status) != 201:
            raise RuntimeError(f"the container cannot be made: {status}")
    return made["id"]


def storage(**more: str):
    def settings(port: int) -> dict[str, str]:
        text = f"AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint=http://127.0.0.1:{port}/{ACCOUNT}"
        names = {name: uuid.uuid4().hex for name in ("DOCUMENTS_CONTAINER", "INDEX_CONTAINER", "BACKUP_CONTAINER")}
        return {"AZURE_STORAGE_CONNECTION_STRING": text, **names, **more}

    return settings


@contextlib.contextmanager
def scenes(program: pathlib.Path, folder: pathlib.Path):
    """One process for each dependency that can be had here."""
    lib, cosmos = ROOT / "scripts/lib", free_port()
    build = ["cargo", "build", "--quiet", "--locked", "--manifest-path", "tests/cosmos_front/Cargo.toml"]
    subprocess.run([*build, "--target-dir", "target/cosmos-front"], cwd=ROOT, check=True)
    with contextlib.ExitStack() as stack:
        azurite = stack.enter_context(Azurite(folder)).ports["blob"]
        redis = int(stack.enter_context(redis_server()).rpartition(":")[2])
        chat = stack.enter_context(started([sys.executable, str(lib / "fake_model.py")]))
        embeddings = stack.enter_context(started([sys.executable, str(lib / "fake_model.py")]))
        stack.enter_context(started([str(ROOT / "target/cosmos-front/debug/cosmos-front"), str(cosmos)], cosmos))
        container = cosmos_container(cosmos)

        def model(port: int) -> dict[str, str]:
            return {"OPENAI_BASE_URL": f"http://127.0.0.1:{port}/v1", "OPENAI_MODEL": "m"}

        def embedding(port: int) -> dict[str, str]:
            return {"OPENAI_EMBEDDING_BASE_URL": f"http://127.0.0.1:{port}/v1", "OPENAI_EMBEDDING_MODEL": "e"}

        def records(port: int) -> dict[str, str]:
            address = {"AZURE_COSMOS_ENDPOINT": f"http://127.0.0.1:{port}", "AZURE_COSMOS_KEY": COSMOS_KEY}
            return address | {"AZURE_COSMOS_CONTAINER": container}

        made = []
        for name, upstream, settings in [
            ("chat", chat, model),
            ("embeddings", embeddings, embedding),
            ("documents", azurite, storage()),
            ("index", azurite, storage()),
            ("index-anew", azurite, storage(INDEX_STALE_SECONDS="0")),
            ("cosmos", cosmos, records),
            ("redis", redis, lambda port: {"REDIS_URL": f"redis://127.0.0.1:{port}"}),
        ]:
            made.append(Scene(name, program, folder, upstream, settings))
            stack.callback(made[-1].close)
        yield made


def prove_p14(program: pathlib.Path, folder: pathlib.Path, n: int, chance: random.Random) -> tuple[int, dict]:
    failures, worst = 0, {"seconds": 0.0, "served_again": 0.0, "descriptors": 0, "mb": 0.0}
    with scenes(program, folder) as all_of_them:
        # Every pair once before any a second time, in an order of chance: one process lives through many faults.
        pairs = []
        while len(pairs) < n:
            every = [(scene, fault) for scene in all_of_them for fault in FAULTS]
            chance.shuffle(every)
            pairs += every
        for scene, fault in pairs[:n]:
            line, wrong = cell(scene, fault)
            say(f"P14: {json.dumps(line)}")
            for sentence in wrong:
                say(f"P14: WRONG {sentence}")
            failures += bool(wrong)
            worst = {name: max(most, line[name]) for name, most in worst.items()}
    for log in folder.glob("*/handler.log"):
        if "panic" in log.read_text():
            say(f"P14: WRONG there is a panic in {log}")
            failures += 1
    return failures, {"dependencies": len(all_of_them), "faults": len(FAULTS), "worst": worst}
