"""The index: building, opening and searching it, beside a Python search in memory on the same passages and vectors."""

import argparse
import json
import os
import pathlib
import shutil
import subprocess

import handler
from handler import say

from .azurite import ACCOUNT, KEY, Azurite
from .figures import figure

PROGRAM = handler.ROOT / "target/release/examples/bench-index"
PYTHON = handler.ROOT / ".cache/bench-index/bin/python"
PEERS = pathlib.Path(__file__).with_name("index_peers.py")
# Passages, numbers of an embedding, queries.
SIZES = [(10_000, 384, 200), (100_000, 384, 200), (100_000, 512, 200), (1_000_000, 384, 60), (1_000_000, 512, 60)]
# What is promised of two of them.
GOALS = {
    (100_000, "hybrid"): 3,
    (1_000_000, "hybrid"): 10,
    (100_000, "open_and_answer"): 20,
}
# Python holds all of it in memory, several times over.
NOT_FOR_PEERS = [(1_000_000, 512)]
# What is also opened from a storage emulator.
FROM_STORAGE = [(100_000, 384)]
# How much longer than fetching the same bytes the first answer may take.
MOST_OF_FETCHING = 1.5


def bench_index(_program: pathlib.Path, folder: pathlib.Path, options: argparse.Namespace) -> None:
    for passages, dimensions, queries in SIZES[:1] if options.quick else SIZES:
        here = folder / f"{passages}-{dimensions}"
        line = run([PROGRAM, here, str(passages), str(dimensions), str(queries)])
        report(f"index_{passages}_{dimensions}", line)
        if (passages, dimensions) in FROM_STORAGE:
            from_storage(f"index_{passages}_{dimensions}", here)
        if (passages, dimensions) not in NOT_FOR_PEERS:
            others = run([PYTHON, PEERS, here, str(dimensions)])
            report(f"python_{passages}_{dimensions}", others)
        shutil.rmtree(here)


def from_storage(name: str, here: pathlib.Path) -> None:
    """The first answer when nothing of the index lies here, beside fetching its bytes from the same emulator."""
    with Azurite(here) as azurite:
        blob = azurite.address("blob")
        line = run([PROGRAM, "cold", here, f"AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={blob}"])
    figure(f"{name}_cold_bytes", line["cold_bytes_mb"], "MB")
    figure(f"{name}_cold_fetch", line["cold_fetch_ms"], "ms")
    figure(f"{name}_cold_first_answer", line["cold_first_answer_ms"], "ms")
    share = line["cold_first_answer_ms"] / line["cold_fetch_ms"]
    figure(f"{name}_cold_first_answer_of_fetch", share, "times", MOST_OF_FETCHING)


def run(command: list) -> dict:
    say(" ".join(str(part) for part in command))
    environment = {"PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    return json.loads(subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout)


def report(name: str, line: dict) -> None:
    """A figure for each number of the line; the share of the memory's speed that the scan reaches is made here."""
    passages = line["passages"]
    for what, value in line.items():
        if what in ("passages", "dimensions"):
            continue
        if isinstance(value, dict):
            goal = GOALS.get((passages, what.removesuffix("_ms"))) if name.startswith("index") else None
            figure(f"{name}_{what.removesuffix('_ms')}_median", value["median"], "ms", goal)
            figure(f"{name}_{what.removesuffix('_ms')}_p99", value["p99"], "ms")
        elif what.endswith("recall_at_10"):
            ours = what == "recall_at_10"
            figure(f"{name}_{what}", value, "of the exact ten", 0.99 if ours else None, least=True)
        elif what.endswith("_gb_s"):
            figure(f"{name}_{what.removesuffix('_gb_s')}_speed", value, "GB/s")
        else:
            stem, _, unit = what.rpartition("_")
            goal = GOALS.get((passages, stem)) if name.startswith("index") else None
            figure(f"{name}_{stem}", value, unit, goal)
    if "scan_gb_s" in line:
        figure(f"{name}_scan_share_of_memory_speed", line["scan_gb_s"] / line["memory_gb_s"], "of it", 0.5, least=True)
