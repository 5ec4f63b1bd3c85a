"""P27: settings that are wrong, alone and several at once. A start names all of them, shows no value and ends with 78; under the
Functions host the process stays, and tells every caller that it is misconfigured."""

import json
import pathlib
import random
import subprocess

from handler import Handler, environment, say

MARK = "quokka"
TENANT = "7f1c5a52-4b0e-4a55-9a9a-3f0d9a6c1d11"
EXIT_CONFIG = 78
# What is wrong, and the setting that has to be named. Where the settings need others to be read at all, those are right.
BROKEN: list[tuple[str, dict[str, str]]] = [
    *[(name, {name: value}) for name, value in {
        "LOG_LEVEL": MARK, "ENVIRONMENT": f"{MARK}ion", "AUTH": MARK, "DEFAULT_ROLE": MARK, "PUBLIC_URL": f"{MARK} town",
        "MAX_WORKERS": f"{MARK}7", "CHUNK_TOKENS": "-1", "MAX_DOCUMENT_SIZE": f"{MARK}MB", "EXTRACT_TIMEOUT_SECONDS": "0",
        "EXTRACT_MEMORY_MB": "0", "MAX_DOCUMENT_ATTEMPTS": "0", "INDEX_LANGUAGE": MARK, "INDEX_REFRESH_SECONDS": "99999",
        "RETRIEVAL_WORDS_WEIGHT": MARK, "AZURE_SEARCH_ENDPOINT": f"http://{MARK}.search.windows.net", "TIMEOUT_SECONDS": "0",
        "AZURE_OPENAI_ENDPOINT": f"{MARK} is no address", "OPENAI_BASE_URL": f"ftp://{MARK}", "CACHE_SEARCH_SECONDS": f"-{MARK}",
        "CACHE_MEMORY_MB": MARK, "CONVERSATION_DAYS": "4000", "CHAT_PASSAGES": "0", "MAX_MESSAGE_LENGTH": "0",
        "STRICT_INPUT": MARK, "MAX_ANSWER_TOKENS": "0", "TOOLS": MARK, "EVIDENCE_THRESHOLD": "1.5", "FOLDER_RIGHTS": f"={MARK};",
        "DEFAULT_READERS": MARK, "INVOCATION_TIMEOUT_SECONDS": "0", "WRITE_TIMEOUT_SECONDS": "0", "SWEEP_SECONDS": "0",
        "MAX_INVOCATION_SIZE": "1", "CHAT_RATE_LIMIT_PER_MINUTE": "-1", "RATE_LIMIT_PER_MINUTE": MARK, "AUDIT_DAYS": "0",
        "TOKEN_BUDGET_PER_DAY": f"{MARK}", "MAX_CONCURRENT_REQUESTS": "1e9", "FORWARDED_HOPS": "11", "CORS_ORIGINS": "*",
        "REDIS_URL": f"http://{MARK}@127.0.0.1", "ACTIONS": f"delete_{MARK}", "ENABLE_TELEMETRY": MARK, "FETCH_PORTS": f"80,{MARK}",
        "OTEL_TRACES_SAMPLER_ARG": "2", "AZURE_STORAGE_CONNECTION_STRING": f"AccountKey={MARK}", "AZURE_COSMOS_ENDPOINT": f"http://{MARK}.example",
    }.items()],
    ("AUTH", {"AUTH": "off", "ENVIRONMENT": "prod"}),
    ("AUTH", {"AUTH": "off", "WEBSITE_SITE_NAME": "app"}),
    ("AUTH", {"AUTH": "easy-auth", "ENTRA_TENANT_ID": TENANT}),
    ("SECRET_KEY", {"AUTH": "shared-key"}),
    ("SECRET_KEY", {"AUTH": "shared-key", "SECRET_KEY": f"short-{MARK}"}),
    ("SECRET_KEY", {"AUTH": "shared-key", "SECRET_KEY": "your-secret-key-here-change-me-please"}),
    ("ENTRA_TENANT_ID", {"AUTH": "entra", "ENTRA_AUDIENCE": MARK}),
    ("ENTRA_TENANT_ID", {"AUTH": "entra", "ENTRA_AUDIENCE": "a", "ENTRA_TENANT_ID": f"{MARK}.onmicrosoft.com"}),
    ("ENTRA_AUDIENCE", {"AUTH": "entra", "ENTRA_TENANT_ID": TENANT}),
    ("ENTRA_AUTHORITY", {"AUTH": "entra", "ENTRA_TENANT_ID": TENANT, "ENTRA_AUDIENCE": "a", "ENTRA_AUTHORITY": f"http://{MARK}.example"}),
    ("OPENAI_API_KEY", {"OPENAI_BASE_URL": "https://models.example/v1", "OPENAI_MODEL": "m", "OPENAI_API_KEY": f"@Microsoft.KeyVault({MARK})"}),
    ("OPENAI_MODEL", {"OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}),
]  # fmt: skip
CALLS = [
    ("GET", "/api/health"), ("GET", "/api/documents"), ("POST", "/api/chat"), ("POST", "/api/search"), ("POST", "/mcp"), ("GET", "/page"),
    ("POST", "/ingest_document"), ("POST", "/maintain_index"), ("POST", "/v1/chat/completions"), ("DELETE", "/api/documents/x"),
]  # fmt: skip


def prove_p27(program: pathlib.Path, folder: pathlib.Path, n: int, chance: random.Random) -> tuple[int, dict]:
    sentences = []
    right = run(program, folder, {}, "--check")
    if right.returncode != 0:
        sentences.append(f"right settings end with {right.returncode}: {right.stderr[:200]}")
    for number in range(n):
        chosen = [BROKEN[number % len(BROKEN)]]
        # Now and then some more, as long as they do not give one setting two values.
        for other in chance.sample(BROKEN, chance.choice([0, 0, 1, 3])):
            if not any(set(other[1]) & set(settings) for _, settings in chosen):
                chosen.append(other)
        settings = {name: value for _, one in chosen for name, value in one.items()}
        wanted = {name for name, _ in chosen}
        way = ["start", "check", "host"][(number + number // len(BROKEN)) % 3]
        told = under_the_host(program, folder, settings) if way == "host" else at_the_command(program, folder, settings, way)
        for sentence in told.wrong:
            sentences.append(f"{sorted(settings)} ({way}): {sentence}")
        if missing := sorted(name for name in wanted if name not in told.text):
            sentences.append(f"{sorted(settings)} ({way}): {missing} is not named")
        if MARK in told.text:
            sentences.append(f"{sorted(settings)} ({way}): a value is shown")
    for sentence in sentences:
        say(f"P27: {sentence}")
    return len(sentences), {"broken": len(BROKEN), "settings": len({name for name, _ in BROKEN})}


class Told:
    def __init__(self, text: str):
        self.text, self.wrong = text, []


def run(program: pathlib.Path, folder: pathlib.Path, settings: dict[str, str], *more: str) -> subprocess.CompletedProcess:
    command = [program, "serve", "--listen", "127.0.0.1:0", *more]
    variables = environment(folder / "data", settings)
    return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=30, check=False)


def at_the_command(program: pathlib.Path, folder: pathlib.Path, settings: dict[str, str], way: str) -> Told:
    try:
        ended = run(program, folder, settings, *(["--check"] if way == "check" else []))
    except subprocess.TimeoutExpired:
        told = Told("")
        told.wrong.append("it serves")
        return told
    told = Told(ended.stdout + ended.stderr)
    if ended.returncode != EXIT_CONFIG:
        told.wrong.append(f"it ended with {ended.returncode}")
    return told


def under_the_host(program: pathlib.Path, folder: pathlib.Path, settings: dict[str, str]) -> Told:
    log = folder / "handler.log"
    log.unlink(missing_ok=True)
    running = Handler(program, folder / "data", **settings)
    told = Told("")
    while running.is_alive():
        try:
            if running.call("GET", "/", timeout=5)[0] == 200:
                break
        except OSError:
            continue
    for method, path in CALLS:
        try:
            status, body = running.call(method, path, b"{}" if method == "POST" else None, {"content-type": "application/json"})
            told.text += body.decode()
            if (status, json.loads(body).get("code")) != (503, "misconfigured"):
                told.wrong.append(f"{method} {path} was answered {status}")
        except (OSError, ValueError) as e:
            told.wrong.append(f"{method} {path}: {e}")
            break
    if not running.is_alive():
        told.wrong.append("the process ended")
    running.kill()
    told.text += log.read_text(errors="replace")
    return told
