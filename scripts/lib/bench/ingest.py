"""Reading documents: what it costs beside a Python pipeline on the same files, and how much of the text arrives."""

import argparse
import collections
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import time

import handler
from handler import Handler, say

from .figures import figure

HERE = pathlib.Path(__file__).parent
PYTHON = handler.ROOT / ".cache/bench-python/bin/python"
KINDS = ["pdf", "docx", "md", "html", "txt"]
LONG_TEXT_BYTES = 9_000_000


def bench_ingest(program: pathlib.Path, folder: pathlib.Path, options: argparse.Namespace) -> None:
    """Papers of 5 to 40 pages, made for the occasion, and the PDFs of a folder if one is given."""
    runs = 1 if options.quick else 3
    papers = folder / "papers"
    python("papers.py", str(papers), str(options.seed), "8" if options.quick else "60")
    for kind in KINDS:
        if beside_python(program, folder / kind, papers, kind, f"ingest_{kind}", runs) > 0:
            raise SystemExit(f"scripts/bench: some of the papers in {kind} could not be ingested")
    recall(program, folder / "words", papers, "ingest_pdf")
    if options.pdfs:
        own = folder / "own"
        (own / "pdf").mkdir(parents=True)
        for number, path in enumerate(sorted(options.pdfs.rglob("*.pdf"))):
            shutil.copy(path, own / "pdf" / f"{number}-{path.name}")
        figure("ingest_own_pdf_unreadable", beside_python(program, folder, own, "pdf", "ingest_own_pdf", 1), "files")
        recall(program, folder / "own-words", own, "ingest_own_pdf")
    chunking(program, folder)


def python(script: str, *arguments: str) -> bytes:
    """Runs one of the scripts beside this one with the packages of the benchmark; what it printed."""
    environment = {"PATH": os.defpath, "PYTHONPATH": str(HERE.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [PYTHON, HERE / script, *arguments]
    return subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout


def beside_python(
    program: pathlib.Path, folder: pathlib.Path, papers: pathlib.Path, kind: str, name: str, runs: int
) -> int:
    """`handler ingest`, the index included, beside Python reading and cutting alone; how many it could not read."""
    sizes = [path.stat().st_size for path in (papers / kind).iterdir()]
    measured = [ingested(program, folder / f"data-{run}", papers / kind) for run in range(runs)]
    wall, own, reading, peak, _ = (statistics.median(column) for column in zip(*measured))
    python_runs = [json.loads(python("peers.py", "pipeline", str(papers), kind)) for _ in range(runs)]
    others = statistics.median(run["cpu"] for run in python_runs)
    figure(f"{name}_documents", len(sizes) / wall, "1/s")
    figure(f"{name}_bytes", sum(sizes) / 1e6 / wall, "MB/s")
    figure(f"{name}_cpu", (own + reading) * 1000 / len(sizes), "ms a document")
    figure(f"{name}_cpu_reading", reading * 1000 / len(sizes), "ms a document")
    figure(f"{name}_cpu_python", others * 1000 / len(sizes), "ms a document")
    figure(f"{name}_cpu_share", (own + reading) / others, "of Python's", 0.1 if kind == "pdf" else None)
    figure(f"{name}_cpu_reading_share", reading / others, "of Python's")
    figure(f"{name}_memory_peak", peak, "MB")
    return measured[0][-1]


def ingested(program: pathlib.Path, data: pathlib.Path, papers: pathlib.Path) -> tuple[float, ...]:
    """Wall seconds of `handler ingest`, CPU seconds of its own and of the processes that read documents, the megabytes
    of the largest process, and how many documents could not be read."""
    started = time.monotonic()
    process = handler.ingest(program, data, papers)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    wall = time.monotonic() - started
    # Of a process that ended and that nobody has asked for yet, the kernel still tells its own time and its children's.
    fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    own, reading = (sum(map(int, fields[at : at + 2])) / handler.TICKS_PER_SECOND for at in (11, 13))
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    running = Handler(program, data)
    running.wait_until_healthy()
    unread = sum(row["state"] != "indexed" for row in running.documents().values())
    running.kill()
    return wall, own, reading, usage.ru_maxrss * 1024 / 1e6, unread


def recall(program: pathlib.Path, data: pathlib.Path, papers: pathlib.Path, name: str) -> None:
    """The share of the words that others find in a PDF which are in its passages, counted as often as they are there.
    Running heads, which we leave out on purpose, and page numbers count as missing."""
    ours = passages(program, data, papers)
    pymupdf = json.loads(python("peers.py", "words", str(papers)))
    poppler = {name: pdftotext(papers / name) for name in pymupdf}
    for peer, texts in ("pymupdf", pymupdf), ("pdftotext", poppler):
        shares = [share(words(text), words(ours[path])) for path, text in texts.items() if path in ours]
        figure(f"{name}_words_of_{peer}_median", statistics.median(shares), "of its words", GOALS[peer], least=True)
        mean_goal = GOALS[peer] if peer == "pymupdf" else None
        figure(f"{name}_words_of_{peer}_mean", statistics.mean(shares), "of its words", mean_goal, least=True)
        figure(f"{name}_words_of_{peer}_least", min(shares), "of its words")


GOALS = {"pymupdf": 0.95, "pdftotext": 0.97}


def passages(program: pathlib.Path, data: pathlib.Path, papers: pathlib.Path) -> dict[str, str]:
    """The text of every PDF as its passages have it, which share nothing here, by the name of its file."""
    alone = {"CHUNK_OVERLAP_TOKENS": "0"}
    handler.ingest(program, data, papers / "pdf", **alone).wait()
    running = Handler(program, data, **alone)
    running.wait_until_healthy()
    texts = {}
    for name, row in running.documents().items():
        if row["state"] != "indexed":
            continue
        _, body = running.call("GET", f"/api/documents/{row['id']}")
        texts[f"pdf/{name}"] = "\n".join(passage["text"] for passage in json.loads(body)["contents"])
    running.kill()
    return texts


def pdftotext(path: pathlib.Path) -> str:
    return subprocess.run(["pdftotext", path, "-"], stdout=subprocess.PIPE, check=True).stdout.decode()


def words(text: str) -> collections.Counter:
    """Every word of a text and how often it is there; one that is parted at the end of a line counts whole."""
    return collections.Counter(re.findall(r"\w+", re.sub(r"(?<=\w)[-\u00ad]\n\s*(?=\w)", "", text).lower()))


def share(wanted: collections.Counter, found: collections.Counter) -> float:
    total = sum(wanted.values())
    return sum((wanted & found).values()) / total if total else 1.0


def chunking(program: pathlib.Path, folder: pathlib.Path) -> None:
    """Cutting alone: one long text, and the time that the ledger notes for the cutting of it."""
    paragraph = "The mooring of the buoy was looked at by the crew, and nothing was found to be wrong with it. " * 6
    parts = (f"## Part {number}\n\n{paragraph}\n\n" for number in range(LONG_TEXT_BYTES // (len(paragraph) + 20)))
    long = folder / "long.md"
    long.write_text("".join(parts))
    taken = []
    for run in range(3):
        data = folder / f"data-long-{run}"
        if handler.ingest(program, data, long).wait() != 0:
            say("ingest: the long text could not be ingested")
        running = Handler(program, data)
        running.wait_until_healthy()
        taken.append(running.documents()["long.md"]["phases_ms"]["chunk"] / 1000)
        running.kill()
    figure("ingest_chunking", long.stat().st_size / 1e6 / statistics.median(taken), "MB/s")
