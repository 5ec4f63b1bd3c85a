"""Measures the program and prints one JSON line a figure. What is measured, and against what, is in docs/benchmarks.md.

CPU and memory are the figures to trust: on a machine that others use too, wall times say more about them than about us.

  start    from the start of the process to its answers
  chat     the cost of an answer while many ask, beside a lean Node and a FastAPI service that call the same model
  ingest   reading documents, beside a Python pipeline on the same files
  index    building, opening and searching up to a million passages, beside bm25s and faiss
  quality  how well passages are found, beside bm25s, on two sets made here and on those of --beir
  cost     requests to storage of a document, a chat and the timer, counted, and a month of them in dollars
  storm    ten thousand documents through the stand-in for the Functions host: uploaded, replaced, deleted, damaged
"""

import argparse
import pathlib
import signal
import sys
import tempfile

import handler
from handler import say

from .chat import bench_chat
from .cost import bench_cost
from .figures import FAILED
from .index import bench_index
from .ingest import bench_ingest
from .quality import bench_quality
from .start import bench_start
from .storm import bench_storm

BENCHES = {
    "start": bench_start,
    "chat": bench_chat,
    "ingest": bench_ingest,
    "index": bench_index,
    "quality": bench_quality,
    "cost": bench_cost,
    "storm": bench_storm,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="+", choices=[*BENCHES, "all"], metavar="NAME", help=", ".join([*BENCHES, "all"]))
    parser.add_argument("--quick", action="store_true", help="fewer runs: to see that it works, not to publish")
    parser.add_argument("--program", type=pathlib.Path, help="a program other than the package's")
    parser.add_argument("--documents", type=int, metavar="N", help="how many documents storm sends")
    parser.add_argument("--pdfs", type=pathlib.Path, metavar="DIR", help="PDFs that ingest reads besides those it makes")
    parser.add_argument(
        "--beir", type=pathlib.Path, action="append", default=[], metavar="DIR", help="another set for quality; may be given again"
    )
    parser.add_argument("--embedding-url", metavar="URL", help="a server with the OpenAI API, as http://127.0.0.1:11434/v1")
    parser.add_argument("--embedding-model", metavar="NAME", help="the embedding model to ask for there")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="another seed, other documents")
    arguments = parser.parse_args()
    if bool(arguments.embedding_url) != bool(arguments.embedding_model):
        parser.error("--embedding-url and --embedding-model belong together")
    program = arguments.program or next((path for path in handler.RELEASE_PROGRAMS if path.exists()), None)
    if program is None:
        raise SystemExit("scripts/bench: there is no release program; run scripts/package")
    if not arguments.program:
        handler.warn_if_older_than_sources(program)
    for name in BENCHES if "all" in arguments.names else arguments.names:
        with tempfile.TemporaryDirectory() as folder:
            BENCHES[name](program.resolve(), pathlib.Path(folder), arguments)
    if FAILED:
        say(f"goals missed: {', '.join(FAILED)}")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    main()
