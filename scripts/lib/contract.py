"""P23: what the OpenAPI document says is what is answered. Schemathesis makes requests from the document, right ones and wrong
ones, and compares every answer with it."""

import json
import os
import pathlib
import random
import shutil
import subprocess

from handler import SAMPLES, Handler, say

# Statuses, media types, bodies and headers as the document has them; no 500; nothing accepted that it forbids, no method
# beyond those it names. One check is left out: whoever keeps to a schema is not always understood, because no schema says
# that a question must say something, or that a task has a title when it is a task.
CHECKS = ["--checks", "all", "--exclude-checks", "positive_data_acceptance"]
# It fetches from the internet, and answers 502 without one.
LEFT_OUT = ["--exclude-path", "/api/url"]
# Cases that a call gets in one round; what is generated deepens from round to round with the seed.
CASES_A_CALL = 100
# About as many calls as there are; a round has some thousand cases beside those that are asked for.
CALLS = 45
SETTINGS = {
    "ACTIONS": "send_email,create_task,generate_report",
    "MAIL_ALLOWED_DOMAINS": "*",
    # Nobody listens at the port for discarding: an action fails, and is told to have.
    "ACTION_WEBHOOK_URL": "http://127.0.0.1:9/",
    "MAX_DOCUMENTS_PER_USER": "1000000",
}


def prove_p23(program: pathlib.Path, folder: pathlib.Path, n: int, chance: random.Random) -> tuple[int, dict]:
    failures = cases = rounds = 0
    calls: set[str] = set()
    while cases < n:
        rounds += 1
        here = folder / f"round-{rounds}"
        shutil.copytree(SAMPLES, here / "data" / "documents")
        running = Handler(program, here / "data", as_server=True, **SETTINGS)
        running.wait_until_healthy()
        events = judge(running, here, min(CASES_A_CALL, 1 + n // CALLS), chance.randrange(1 << 31))
        running.kill()
        finished = [event["ScenarioFinished"]["recorder"] for event in events if "ScenarioFinished" in event]
        made = sum(len(recorder.get("cases", {})) for recorder in finished)
        if made == 0:
            raise RuntimeError(f"no request was made; see {here}/judge.log")
        cases += made
        calls.update(recorder["label"] for recorder in finished if recorder["label"].count("/"))
        for recorder in finished:
            for checks in recorder.get("checks", {}).values():
                for check in checks:
                    if check["status"] == "failure":
                        failures += 1
                        say(f"P23: {recorder['label']}: {check['name']}")
    return failures, {"cases": cases, "rounds": rounds, "calls": len(calls)}


def judge(running: Handler, folder: pathlib.Path, examples: int, seed: int) -> list[dict]:
    """One run of Schemathesis; the events that it tells of."""
    report = folder / "events.ndjson"
    command = ["st", "run", f"http://127.0.0.1:{running.port}/api/openapi.json", *CHECKS, *LEFT_OUT]
    command += ["--max-examples", str(examples), "--seed", str(seed), "--continue-on-failure", "--no-color"]
    command += ["--generation-database", "none", "--request-timeout", "60", "--report", "ndjson"]
    command += ["--report-ndjson-path", str(report)]
    with open(folder / "judge.log", "wb") as log:
        environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
        subprocess.run(command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT, check=False)
    return [json.loads(line) for line in report.read_text().splitlines()]
