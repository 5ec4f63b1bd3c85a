"""P22: whatever callers send and whatever the settings hold, each line of the log is one JSON object, no caller writes a line
of his own, and no secret is in the log, in an answer, or in what goes to a collector."""

import base64
import http.client
import http.server
import json
import pathlib
import random
import re
import subprocess
import threading
import urllib.parse

from handler import ROOT, Handler, say

MARK = "forgedbyacaller"
LINE = json.dumps({"timestamp": "2026-01-01T00:00:00Z", "level": "ERROR", "message": MARK})
# What ends a line, hides or reorders it, or closes what it stands in.
STARTS = ["\n", "\r", "\r\n", "\v", "\f", "\x00", "\x1e", "\x85", "\u2028", "\u2029", "\x1b[2K", "\x1b[1A", "\x1b]0;", "\x9b2K"]
STARTS += ["\b\b", "\x7f", "\u202e", "\u202d", "\u2066", "\u2069", "\u200b", "\u200e", "\ufeff", "\u061c", '"', '"}', '"}\n']
STARTS += ["\\", '\\"', "\\n", "\\u000a", "%0a", "%250a", "&#10;", '"},{"', "{}", "\t", "${jndi:x}", "\ufffd", "<!--", "\U000e0041"]
UNFIT = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
HEADERS = ["x-azure-functions-invocationid", "traceparent", "tracestate", "user-agent", "origin", "x-functions-key"]


class Parrot(http.server.BaseHTTPRequestHandler):
    """Takes traces and metrics, and refuses everything else in words that repeat every secret."""

    taken: list[bytes] = []
    secrets: list[str] = []
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        is_telemetry = self.path in ("/v1/traces", "/v1/metrics")
        if is_telemetry:
            self.taken.append(body)
        said = b"" if is_telemetry else json.dumps({"error": {"code": "invalid_api_key", "message": self.secrets}}).encode()
        self.send_response(200 if is_telemetry else 401)
        self.send_header("content-length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_: object) -> None:
        pass


def prove_p22(program: pathlib.Path, folder: pathlib.Path, n: int, chance: random.Random) -> tuple[int, dict]:
    canaries = {name: f"canary{number:02}quokkamarmalade" for number, name in enumerate(secret_settings(program))}
    Parrot.secrets = list(canaries.values())
    parrot = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Parrot)
    threading.Thread(target=parrot.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{parrot.server_port}"
    running = Handler(program, folder / "data", **settings(canaries, address))
    documents = folder / "data" / "documents"
    documents.mkdir(exist_ok=True)
    (documents / "lamp.txt").write_text("The lamp on the pier is green.\n")
    running.wait_until_healthy()
    running.blob_came("lamp.txt")
    ways, answers = ways_in(), []
    for number in range(n):
        if number % 20 == 0:
            answers.append(damaged_document(running, documents, forged(chance)))
        answers.append(send(running, *chance.choice(ways), forged(chance), chance))
        if (number + 1) % 1_000 == 0:
            say(f"P22: {number + 1} of {n} requests")
    running.call("GET", "/api/documents")
    running.post("/maintain_index", {"Data": {"timer": {}}, "Metadata": {}})
    running.kill()
    parrot.shutdown()
    log = (folder / "handler.log").read_text(errors="surrogateescape")
    sentences = wrong_lines(log)
    told = {"the log": log.encode(errors="surrogateescape"), "an answer": b"".join(answers), "telemetry": b"".join(Parrot.taken)}
    for name, canary in canaries.items():
        forms = [canary.encode(), base64.b64encode(canary.encode())]
        sentences += [f"{name} is in {place}" for place, text in told.items() if any(form in text for form in forms)]
    for sentence in sentences:
        say(f"P22: {sentence}")
    sizes = {"log_lines": log.count("\n"), "answer_bytes": len(told["an answer"]), "telemetry_bytes": len(told["telemetry"])}
    if not sizes["telemetry_bytes"] or sizes["log_lines"] < n:
        sentences.append("there is not a line for each request, or no telemetry: nothing was shown")
    return len(sentences), sizes | {"secrets": len(canaries)}


def damaged_document(running: Handler, documents: pathlib.Path, text: str) -> bytes:
    """One that cannot be read, under a name that storage may well hold: the log tells of it by name."""
    name = text.replace("/", "").replace("\0", "").encode()[:200].decode(errors="ignore") + ".pdf"
    (documents / name).write_text("%PDF-1.4 and no more")
    return running.blob_came(name, deliveries=1)[1]


def secret_settings(program: pathlib.Path) -> list[str]:
    table = subprocess.run([program, "settings", "--markdown"], check=True, capture_output=True, text=True).stdout
    return re.findall(r"^\| `(\w+)` \(secret\)", table, re.MULTILINE)


def settings(canaries: dict[str, str], address: str) -> dict[str, str]:
    """All secrets, each in the form that its setting has to have. Storage stays on this machine, so that requests get far."""
    forms = {
        "APPLICATIONINSIGHTS_CONNECTION_STRING": "InstrumentationKey={};IngestionEndpoint=https://127.0.0.1:1/",
        "OTEL_EXPORTER_OTLP_HEADERS": "x-key={}",
        "REDIS_URL": "redis://:{}@127.0.0.1:1",
    }
    values = {name: forms.get(name, "{}").format(canary) for name, canary in canaries.items()}
    for name in ("AZURE_STORAGE_CONNECTION_STRING", "AzureWebJobsStorage"):
        values.pop(name, None)
    models = {"OPENAI_BASE_URL": address, "OPENAI_MODEL": "m", "OPENAI_EMBEDDING_MODEL": "e"}
    models["OPENAI_FALLBACK_BASE_URLS"] = address
    rerank = {"RERANK_BASE_URL": address, "RERANK_MODEL": "r"}
    return values | models | rerank | {"OTEL_EXPORTER_OTLP_ENDPOINT": address, "LOG_LEVEL": "trace", "CACHE_ANSWER_SECONDS": "0"}


def forged(chance: random.Random) -> str:
    return "".join(chance.choice(STARTS) for _ in range(chance.randint(1, 4))) + LINE * chance.randint(0, 2)


def ways_in() -> list[tuple[str, str]]:
    """Method and path of every function; a trigger is posted to under its name, as the host does."""
    ways = [("GET", "/{anything}")]
    for path in sorted((ROOT / "function-definitions").glob("*/function.json")):
        trigger = json.loads(path.read_text())["bindings"][0]
        if trigger["type"] == "httpTrigger":
            ways += [(method.upper(), "/" + trigger["route"]) for method in trigger["methods"]]
        else:
            ways.append(("POST", "/" + path.parent.name))
    return ways


def send(running: Handler, method: str, path: str, text: str, chance: random.Random) -> bytes:
    """The text in the path, the query, some headers and a body; the whole answer."""
    quoted = urllib.parse.quote(text, safe="")
    path = re.sub(r"\{[^}]*\}", lambda _: quoted, path)
    if chance.random() < 0.5:
        path += f"?after={quoted}&{quoted}={quoted}"
    twice = json.dumps(text)
    asked = chance.choice([text, "Which colour has the lamp on the pier?"])
    envelope = {"Data": {"blob": text, "event": twice, "message": twice, "timer": {}}}
    envelope |= {"Metadata": {"name": twice, "Uri": twice, "InsertionTime": text}}
    bodies = {"/api/chat": {"message": asked}, "/api/chat/stream": {"message": asked}, "/api/search": {"query": asked}}
    bodies |= {"/api/url": {"url": text, "category": text}}
    raw = json.dumps(bodies.get(path.split("?")[0], envelope)).encode()
    if chance.random() < 0.1:
        raw = raw[: chance.randint(0, len(raw))]
    fit = bytes(byte for byte in text.encode() if byte >= 32 and byte != 127).decode("latin-1")
    headers = {name: fit for name in chance.sample(HEADERS, 3)} | {"content-type": "application/json"}
    connection = running.connection()
    try:
        connection.request(method, path, raw, headers)
        response = connection.getresponse()
        return str(response.getheaders()).encode() + response.read()
    except http.client.HTTPException:
        return b""
    finally:
        connection.close()


def wrong_lines(log: str) -> list[str]:
    sentences = []
    for number, line in enumerate(log.split("\n")[:-1], start=1):
        try:
            event = json.loads(line)
        except ValueError:
            event = None
        if not isinstance(event, dict) or "target" not in event or event.get("message") == MARK:
            sentences.append(f"line {number} is not one of ours: {line[:200]!r}")
        elif UNFIT.search(line):
            sentences.append(f"line {number} holds what hides or reorders text: {line[:200]!r}")
    return sentences
