"""Tries to break promises and prints one JSON line each. The oracle is always what the client itself noted down.

  P1  An upload that was acknowledged is never lost nor doubled, though the process is killed at random moments.
      n counts kills; failures are documents that are not answerable exactly once, in their last acknowledged version.
  P4  One bad document hurts only itself: damaged documents of every format and bombs, among good documents, while
      people chat. n counts damaged documents; one good document comes with every five.
  P5  No input can crash, hang or fill the process: damaged documents of every format alone. n counts them. Memory may
      grow by 50 MB beyond what a process takes that has read one good document of each kind.
  P6  Nobody is told of what they may not read: people of three tenants and twelve groups ask through every door for words of
      other people's documents, and one passage is found among ten thousand that say the same and are for others. n counts
      questions.
  P7  Rights that change act on the next request, while everybody asks the same and answers are kept. n counts questions.
  P8  Nothing that a model writes gets out of an answer: hostile answers, whole and cut at every character, are read by
      comrak, pulldown-cmark, markdown-it and marked; no address off the list, no HTML. n counts answers. Honest ones
      must leave byte for byte.
  P9  Only genuine, current tokens for this product get in: random forgeries, and good ones among them. n counts tokens.
  P10 The issuer changes its keys, fails, falls silent and comes back, over weeks of a faked clock: what it has published and
      said is what counts, and unknown keys make it be asked once in a while at most. n counts steps; ten times as many unknown
      keys follow. Needs the package faketime.
  P11 Limits hold for three processes together, whatever callers write into their requests: in no minute are more let in,
      and who waits as long as he was told gets in. n counts requests.
  P12 Money is bounded: no more tokens are spent than a day has, though answers cost other than was thought and the
      process is killed with tokens set aside, of which none stay so. n counts requests.
  P13 A request that is repeated under one key is one request: a hundred at once, to three processes of which one may be killed.
      One call of the model, and one more for each kill at most; one whole turn; another body is refused. n counts requests.
  P14 Whatever fails outside, a request ends in its time with the documented problem, the next one is served within a second when all
      is well again, and nothing is left behind. n counts faults, of seven dependencies in turn, one process for each.
  P21 A hundred writers of one conversation, to three processes of which one may be killed: what was answered is there, in one
      order, what was refused is not, and what was cut off is said to be so. n counts requests.
  P22 No caller forges a line of the log, and no secret of the settings gets into the log, an answer or telemetry, at
      LOG_LEVEL=trace, from services that repeat every key they are sent. n counts requests.
  P23 What the OpenAPI document says is what is answered: requests made from it, right ones and wrong ones, get the statuses,
      media types and bodies that it tells of, and no 500. n counts requests; it may be a few more.
  P27 Wrong settings are named, all of them, without a value: a start ends with 78, and under the Functions host every call is
      answered 503 `misconfigured`. n counts starts.
  P28 Nothing calls anybody whom the settings do not name: in a network in which every address is ours, addresses are put into
      documents, questions, names, tokens, events and /api/url. n counts addresses. Needs the right to make such a network.
  P29 Clocks go wrong: they jump by minutes and days, back and forth. Tokens count as their times say, nobody waits longer than
      a minute for a limit, and what is kept for a time goes when it is over. n counts jumps. Needs the package faketime.
  P30 What is erased is in no file any more: documents, conversations and people, looked for in stores, copies, caches, backups
      and logs. n counts erasures.
  CROWD  Eight processes write and four read one index on one storage account while some of them are killed: nothing
      that was acknowledged is lost or doubled, no search fails, no file is left that nobody names. n counts seconds.
"""

import argparse
import contextlib
import json
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import contract
import crowd
import discreet
import egress
import erased
import handler
import misconfigured
import outages
import repeated
import rights
import siege
import throttle
import times
import tokens
from handler import GONE, Handler, say
from witness import Author, Notebook

KILLS_A_ROUND = 10


def prove_p1(program: pathlib.Path, folder: pathlib.Path, n: int, chance: random.Random) -> tuple[int, dict]:
    failures = kills = 0
    while kills < n:
        here = min(KILLS_A_ROUND, n - kills)
        round_folder = folder / f"round-{kills}"
        # Two ways in: a server that is written to while it works, and the command line.
        play = kill_the_command if kills // KILLS_A_ROUND % 3 == 2 else kill_the_server
        try:
            sentences = play(program, round_folder, here, chance)
        except RuntimeError as e:
            sentences = [str(e)]
        kills += here
        failures += len(sentences)
        for sentence in sentences:
            say(f"P1: {sentence}")
        say(f"P1: {kills} of {n} kills, {failures} failures")
        if not sentences:
            shutil.rmtree(round_folder)
    return failures, {}


# The lease of whoever was killed must end while we watch, and so must the time between two comparisons.
IMPATIENT = {"INVOCATION_TIMEOUT_SECONDS": "5", "SWEEP_SECONDS": "1", "MAX_DOCUMENTS_PER_USER": "1000000"}


def kill_the_server(program: pathlib.Path, folder: pathlib.Path, kills: int, chance: random.Random) -> list[str]:
    """A client uploads, replaces and deletes, or drops files into the folder, while the server is killed again and again."""
    data, notebook, author = folder / "data", Notebook(), Author(chance)
    for _ in range(kills):
        running = Handler(program, data, as_server=True, **IMPATIENT)
        running.wait_until_healthy()
        killer = threading.Timer(chance.choice([0.1, 0.5, 2.0]) * chance.random(), running.kill)
        killer.start()
        with contextlib.suppress(*GONE):
            while True:
                change_something(running, folder, notebook, author)
        killer.join()
    running = Handler(program, data, as_server=True, **IMPATIENT)
    running.wait_until_healthy()
    return settle(running, notebook)


def change_something(running: Handler, folder: pathlib.Path, notebook: Notebook, author: Author) -> None:
    """One change. Raises when the server is gone, and then the change stays unacknowledged."""
    chance, old = author.chance, list(notebook.possible)
    name = chance.choice(old) if old and chance.random() < 0.4 else author.new_name()
    present = notebook.possible.get(name) not in (None, {None})
    if present and chance.random() < 0.3:
        delete(running, folder, notebook, name, by_hand=chance.random() < 0.5)
        return
    word, content = author.write(name)
    notebook.begin(name, word)
    if chance.random() < 0.5:
        status, _ = running.upload(name, content)
        if status == 202:
            notebook.acknowledge(name, word)
        return
    # A file that is dropped into the folder is acknowledged by the file system.
    outside = folder / "half-written"
    outside.write_bytes(content)
    outside.rename(folder / "data" / "documents" / name)
    notebook.acknowledge(name, word)
    time.sleep(chance.random() * 0.05)
    if not running.is_alive():
        raise ConnectionError


def delete(running: Handler, folder: pathlib.Path, notebook: Notebook, name: str, by_hand: bool) -> None:
    notebook.begin(name, None)
    if by_hand:
        (folder / "data" / "documents" / name).unlink(missing_ok=True)
        notebook.acknowledge(name, None)
        return
    row = running.documents().get(name)
    if row is None or row["state"] == "deleted":
        return
    status, _ = running.call("DELETE", f"/api/documents/{row['id']}")
    if status == 200:
        notebook.acknowledge(name, None)


def kill_the_command(program: pathlib.Path, folder: pathlib.Path, kills: int, chance: random.Random) -> list[str]:
    """`handler ingest` is killed again and again; a last run that is left alone must make every file answerable."""
    data, papers, notebook, author = folder / "data", folder / "papers", Notebook(), Author(chance)
    papers.mkdir(parents=True)
    for _ in range(kills):
        for _ in range(4):
            name = author.new_name()
            word, content = author.write(name)
            (papers / name).write_bytes(content)
            notebook.begin(name, word)
            notebook.acknowledge(name, word)
        command = handler.ingest(program, data, papers, **IMPATIENT)
        time.sleep(chance.random() * chance.choice([0.05, 0.3, 1.0]))
        command.kill()
        command.wait()
    if handler.ingest(program, data, papers, **IMPATIENT).wait() != 0:
        return ["handler ingest did not finish"]
    running = Handler(program, data, **IMPATIENT)
    running.wait_until_healthy()
    return settle(running, notebook, patience=0)


def settle(running: Handler, notebook: Notebook, patience: float = 60) -> list[str]:
    """What is still wrong when the process has been left alone for a while."""
    deadline = time.monotonic() + patience
    versions = sum(map(len, notebook.tried.values()))
    say(f"P1: {len(notebook.possible)} documents in {versions} versions")
    try:
        while (wrong := notebook.wrong(running)) and time.monotonic() < deadline:
            time.sleep(0.5)
        running.documents()
        return wrong
    finally:
        running.kill()


def prove_p8(program: pathlib.Path, folder: pathlib.Path, n: int, chance: random.Random) -> tuple[int, dict]:
    command = ["cargo", "run", "--quiet", "--locked", "--example", "prove-answers", "--", f"--n={n}", f"--seed={chance.getrandbits(31)}"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    say(ended.stderr.strip())
    if not ended.stdout:
        return 1, {}
    return json.loads(ended.stdout)["failures"], {}


# For each promise who tries to break it, and how often unless told otherwise.
PROMISES = {
    "P1": (prove_p1, 60),
    "P4": (siege.prove_p4, 1_000),
    "P5": (siege.prove_p5, 150),
    "P6": (rights.prove_p6, 2_000),
    "P7": (rights.prove_p7, 1_000),
    "P8": (prove_p8, 10_000),
    "P9": (tokens.prove_p9, 2_000),
    "P10": (tokens.prove_p10, 300),
    "P11": (throttle.prove_p11, 10_000),
    "P12": (throttle.prove_p12, 1_000),
    "P13": (repeated.prove_p13, 3_000),
    "P14": (outages.prove_p14, 91),
    "P21": (repeated.prove_p21, 3_000),
    "P22": (discreet.prove_p22, 5_000),
    "P23": (contract.prove_p23, 5_000),
    "P27": (misconfigured.prove_p27, 180),
    "P28": (egress.prove_p28, len(egress.FORMS) * len(egress.DOORS)),
    "P29": (times.prove_p29, 1_000),
    "P30": (erased.prove_p30, 60),
    "CROWD": (crowd.prove_crowd, 60),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="scripts/prove", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("promises", nargs="+", choices=[*PROMISES, "all"], metavar="P", help="P1, P4 to P14, P21 to P23, P27 to P30, CROWD or all")
    parser.add_argument("--n", type=int, help="how many trials; more of them bound the rate of failures lower")
    parser.add_argument("--seed", type=int, default=1, help="the same seed makes the same documents and moments")
    parser.add_argument("--program", type=pathlib.Path, default=handler.DEVELOPMENT_PROGRAM)
    arguments = parser.parse_args()
    failed = False
    for name in PROMISES if "all" in arguments.promises else arguments.promises:
        prove, usual = PROMISES[name]
        n, started = arguments.n or usual, time.monotonic()
        folder = pathlib.Path(tempfile.mkdtemp(prefix=f"prove-{name}-"))
        # A copy, so that a build meanwhile changes nothing here.
        program = pathlib.Path(shutil.copy2(arguments.program, folder / "handler"))
        failures, details = prove(program, folder, n, random.Random(f"{name} {arguments.seed}"))
        if failures == 0:
            shutil.rmtree(folder)
        else:
            say(f"{name}: what was left is in {folder}, with the log")
        line = {"id": name, "n": n, "failures": failures, "seed": arguments.seed}
        line |= {"seconds": round(time.monotonic() - started, 1), "ok": failures == 0} | details
        print(json.dumps(line), flush=True)
        failed |= failures > 0
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    main()
