"""How well passages are found: words, meaning and both together, beside bm25s, on sets with known answers."""

import argparse
import array
import base64
import contextlib
import json
import os
import pathlib
import subprocess
import urllib.request

import handler
from handler import say

from . import quality_sets
from .figures import figure
from .index import PROGRAM as RECALL
from .index import PYTHON

HERE = pathlib.Path(__file__).parent
FIGURES = ["ndcg@10", "recall@20", "recall@100", "mrr"]
DIMENSIONS = 384
TEXTS_A_REQUEST = 32
# What words may count beside 1 of meaning. Which suits depends on the model, so questions that are not asked afterwards decide.
WEIGHTS = ["0.5", "1", "1.5", "2", "3", "4"]
# How much of a question its passages have to hold; the first is the default.
THRESHOLDS = ["0.5", "0.6", "0.7", "0.8"]
# By how much words may be worse than those of bm25s with the same steps.
CLOSE = 0.005


def bench_quality(program: pathlib.Path, folder: pathlib.Path, options: argparse.Namespace) -> None:
    sets = {} if options.quick else {"crates": quality_sets.crates(folder / "crates")}
    sets["samples"] = quality_sets.samples(program, folder / "samples")
    sets.update((given.resolve().name, given.resolve()) for given in options.beir)
    weight = "1"
    for name, where in sets.items():
        with embedding_model(where, options) as model:
            work = folder / f"{name}-work"
            # A set without questions to choose by has the weight of the one before.
            weight = weighed(program, where, work, model) or weight
            measure(f"quality_{name}", where, program, work, model, weight)
    if not options.quick:
        answers("quality_readmes", program, folder / "readmes")


def answers(name: str, program: pathlib.Path, folder: pathlib.Path) -> None:
    """What becomes of questions to documents that other people wrote, some of which nobody can answer; without any model."""
    questions, documents = quality_sets.readmes(folder)
    figure(f"{name}_documents", len(list(documents.iterdir())), "count")
    for threshold in THRESHOLDS:
        settings = {"EVIDENCE_THRESHOLD": threshold}
        found = evaluate(program, questions, folder / "work", settings, "--documents", documents)
        for what, value in found.items():
            figure(f"{name}_{threshold}_{what}", value, "", digits=4)


def weighed(program: pathlib.Path, where: pathlib.Path, work: pathlib.Path, model: dict[str, str]) -> str | None:
    """The weight of words with which the questions of the split `dev` find most; none where there is no such split."""
    if not (where / "qrels/dev.tsv").exists():
        return None
    settings = {weight: {**model, "RETRIEVAL_WORDS_WEIGHT": weight} for weight in WEIGHTS}
    found = {weight: evaluate(program, where, work, settings[weight], "--split", "dev")["ndcg@10"] for weight in WEIGHTS}
    say(f"ndcg@10 of the questions that decide, by the weight of words: {found}")
    return max(found, key=found.get)


def measure(
    name: str, where: pathlib.Path, program: pathlib.Path, work: pathlib.Path, model: dict[str, str], weight: str
) -> None:
    """All of one set. A goal is there where one is promised: words as good as those of bm25s, both as good as either."""
    others = json.loads(run([PYTHON, HERE / "quality_peers.py", where]))
    for variant, figures in others.items():
        show(f"{name}_bm25s_{variant}", figures, {})
    words = evaluate(program, where, work, {})
    show(f"{name}_words", words, {"ndcg@10": others["as_ours"]["ndcg@10"] - CLOSE})
    meaning = evaluate(program, where, work, {**model, "RETRIEVAL_WORDS_WEIGHT": "0"})
    show(f"{name}_meaning", meaning, {})
    show(f"{name}_both_alike", evaluate(program, where, work, model), {})
    both = evaluate(program, where, work, {**model, "RETRIEVAL_WORDS_WEIGHT": weight})
    figure(f"{name}_weight_of_words", float(weight), "of 1 of meaning")
    show(f"{name}_both", both, {what: max(words[what], meaning[what]) for what in ("ndcg@10", "recall@100")})
    figure(f"{name}_scan_recall_at_10", scan_recall(where, work, model), "of the exact ten", 0.99, least=True)


def show(name: str, figures: dict[str, float], goals: dict[str, float]) -> None:
    for what in FIGURES:
        figure(f"{name}_{what}", figures[what], "", goals.get(what), least=True, digits=4)


def evaluate(
    program: pathlib.Path, where: pathlib.Path, work: pathlib.Path, settings: dict[str, str], *options: str | pathlib.Path
) -> dict[str, float]:
    found = run([program, "evaluate", where, "--json", *options], handler.environment(work, settings))
    return json.loads(found)["figures"]


def run(command: list, environment: dict[str, str] | None = None) -> bytes:
    say(" ".join(str(part) for part in command))
    environment = environment or {"PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout


@contextlib.contextmanager
def embedding_model(where: pathlib.Path, options: argparse.Namespace):
    """The settings of the model: the one that the options name, or one made of the set's own texts."""
    if options.embedding_url:
        yield {"OPENAI_EMBEDDING_BASE_URL": options.embedding_url, "OPENAI_EMBEDDING_MODEL": options.embedding_model}
        return
    port = handler.free_port()
    command = [PYTHON, HERE / "latent.py", where, str(DIMENSIONS), str(port)]
    environment = {"PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1"}
    served = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)
    try:
        if served.stdout.readline().strip() != b"ready":
            raise SystemExit("scripts/bench: the embedding model could not be made")
        yield {"OPENAI_EMBEDDING_BASE_URL": f"http://127.0.0.1:{port}/v1", "OPENAI_EMBEDDING_MODEL": "latent"}
    finally:
        served.kill()
        served.wait()


def scan_recall(where: pathlib.Path, work: pathlib.Path, model: dict[str, str]) -> float:
    """The share of the ten nearest by exact numbers that a search by embedding finds, in this set and with this model."""
    work.mkdir(parents=True, exist_ok=True)
    judged = (where / "qrels/test.tsv").read_text(encoding="utf-8").splitlines()[1:]
    asked = {line.split("\t")[0] for line in judged}
    for name, of in (("vectors", "corpus"), ("queries", "queries")):
        entries = [json.loads(line) for line in (where / f"{of}.jsonl").open(encoding="utf-8")]
        taken = [entry for entry in entries if of == "corpus" or entry["_id"] in asked]
        texts = [f"{entry.get('title', '')} {entry['text']}".strip() for entry in taken]
        dimensions = write_embeddings(work / f"{name}.f32", texts, model)
    line = json.loads(run([RECALL, "recall", work, str(dimensions)]))
    return line["recall_at_10"]


def write_embeddings(path: pathlib.Path, texts: list[str], model: dict[str, str]) -> int:
    """Writes the embeddings one after another, as 4-byte numbers; their length."""
    dimensions = 0
    with path.open("wb") as out:
        for start in range(0, len(texts), TEXTS_A_REQUEST):
            some = texts[start : start + TEXTS_A_REQUEST]
            asked = {"model": model["OPENAI_EMBEDDING_MODEL"], "input": some, "encoding_format": "base64"}
            request = urllib.request.Request(
                f"{model['OPENAI_EMBEDDING_BASE_URL']}/embeddings",
                json.dumps(asked).encode(),
                {"content-type": "application/json"},
            )
            with urllib.request.urlopen(request, timeout=120) as response:
                answered = json.load(response)["data"]
            for one in sorted(answered, key=lambda one: one["index"]):
                values = one["embedding"]
                numbers = base64.b64decode(values) if isinstance(values, str) else array.array("f", values).tobytes()
                dimensions = len(numbers) // 4
                out.write(numbers)
    return dimensions
