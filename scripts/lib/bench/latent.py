"""An embedding model made of a set's own texts, served as `/v1/embeddings` on 127.0.0.1.

    latent.py FOLDER DIMENSIONS PORT     says `ready` on standard output when it can be asked

Latent semantic analysis (Deerwester and others 1990): terms by entries, weighed, and the largest singular directions of that. Where
the set has judgements to learn from, `qrels/train.tsv`, a linear map is then trained on them, so that a query comes nearer to its
entry than to others (InfoNCE, van den Oord and others 2018). No query that is asked is among them. No weights come from elsewhere,
and the same texts give the same numbers. It knows these texts and nothing else of the language: a model that was trained on more
finds more.
"""

import base64
import http.server
import json
import math
import pathlib
import sys

import numpy
import scipy.sparse
import scipy.sparse.linalg

import terms

# Of the training: pairs at once, rounds over all of them, how sharply nearness is judged, and how far a step goes.
BATCH, ROUNDS, TEMPERATURE, STEP = 256, 8, 0.05, 2e-3
# A word of one entry alone tells nothing about which words go together.
LEAST_ENTRIES = 2


class Latent:
    def __init__(self, texts: list[str], dimensions: int):
        counted = [terms.counts(text) for text in texts]
        entries: dict[str, int] = {}
        for counts in counted:
            for term in counts:
                entries[term] = entries.get(term, 0) + 1
        known = sorted(term for term, count in entries.items() if count >= LEAST_ENTRIES)
        self.place = {term: at for at, term in enumerate(known)}
        self.weight = numpy.array([math.log(len(texts) / entries[term]) + 1 for term in known])
        matrix = self.rows(counted)
        begin = numpy.ones(min(matrix.shape))
        _, _, directions = scipy.sparse.linalg.svds(matrix, k=min(dimensions, min(matrix.shape) - 1), v0=begin)
        self.directions = directions.T

    def train(self, queries: list[str], texts: list[str]) -> None:
        """Turns the directions so that each query lies nearer to its own text than to those of others; Adam, from the identity."""
        asked, found = self.embed(queries), self.embed(texts)
        chance = numpy.random.default_rng(1)
        turned = numpy.eye(asked.shape[1], dtype=numpy.float32)
        speed, size = numpy.zeros_like(turned), numpy.zeros_like(turned)
        for step in range(1, ROUNDS * (len(asked) // BATCH) + 1):
            some = chance.choice(len(asked), BATCH, replace=False)
            slope = slope_of(asked[some], found[some], turned)
            speed, size = 0.9 * speed + 0.1 * slope, 0.999 * size + 0.001 * slope**2
            turned -= STEP * (speed / (1 - 0.9**step)) / (numpy.sqrt(size / (1 - 0.999**step)) + 1e-8)
        self.directions = self.directions @ turned

    def rows(self, counted: list[dict[str, int]]) -> scipy.sparse.csr_matrix:
        """A row of weighed terms for each text, each of length 1."""
        values, columns, starts = [], [], [0]
        for counts in counted:
            places = {self.place[term]: count for term, count in counts.items() if term in self.place}
            row = numpy.array([(1 + math.log(count)) * self.weight[at] for at, count in places.items()])
            values.extend(row / numpy.linalg.norm(row) if row.size else [])
            columns.extend(places)
            starts.append(len(columns))
        return scipy.sparse.csr_matrix((values, columns, starts), shape=(len(counted), len(self.place)))

    def embed(self, texts: list[str]) -> numpy.ndarray:
        found = self.rows([terms.counts(text) for text in texts]) @ self.directions
        lengths = numpy.linalg.norm(found, axis=1, keepdims=True)
        # A text without any known word lies equally far from all; a vector of nothing would be refused as a fault.
        found = numpy.where(lengths > 1e-9, found / numpy.maximum(lengths, 1e-9), 1 / math.sqrt(found.shape[1]))
        return found.astype("<f4")


def slope_of(asked: numpy.ndarray, found: numpy.ndarray, turned: numpy.ndarray) -> numpy.ndarray:
    """How the loss of some pairs changes with the map: each query is to choose its text, and each text its query."""
    (one, one_length), (other, other_length) = (unit(rows @ turned) for rows in (asked, found))
    near = numpy.exp((one @ other.T - 1) / TEMPERATURE)
    chosen = near / near.sum(axis=1, keepdims=True) + near / near.sum(axis=0)
    by_nearness = (chosen - 2 * numpy.eye(len(asked))) / (2 * len(asked) * TEMPERATURE)
    by_one, by_other = by_nearness @ other, by_nearness.T @ one
    by_one = (by_one - (by_one * one).sum(axis=1, keepdims=True) * one) / one_length
    by_other = (by_other - (by_other * other).sum(axis=1, keepdims=True) * other) / other_length
    return (asked.T @ by_one + found.T @ by_other).astype(numpy.float32)


def unit(rows: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
    lengths = numpy.maximum(numpy.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    return rows / lengths, lengths


class Endpoint(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    model: Latent

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        texts = [asked["input"]] if isinstance(asked["input"], str) else asked["input"]
        data = [
            {"object": "embedding", "index": at, "embedding": base64.b64encode(vector.tobytes()).decode()}
            for at, vector in enumerate(self.model.embed(texts))
        ]
        tokens = sum(len(text) // 4 + 1 for text in texts)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        body = json.dumps({"object": "list", "model": asked["model"], "data": data, "usage": usage}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def made_of(folder: pathlib.Path, dimensions: int) -> Latent:
    texts = {entry["_id"]: terms.whole(entry) for entry in lines(folder / "corpus.jsonl")}
    model = Latent(list(texts.values()), dimensions)
    learnt = folder / "qrels/train.tsv"
    if learnt.exists():
        queries = {entry["_id"]: entry["text"] for entry in lines(folder / "queries.jsonl")}
        rows = [line.split("\t") for line in learnt.read_text(encoding="utf-8").splitlines()[1:]]
        pairs = [(queries[query], texts[entry]) for query, entry, score in rows if int(score) > 0 and entry in texts]
        model.train([query for query, _ in pairs], [text for _, text in pairs])
    return model


def lines(path: pathlib.Path) -> list[dict]:
    return [json.loads(line) for line in path.open(encoding="utf-8")]


def main(folder: pathlib.Path, dimensions: int, port: int) -> None:
    Endpoint.model = made_of(folder, dimensions)
    served = http.server.ThreadingHTTPServer(("127.0.0.1", port), Endpoint)
    print("ready", flush=True)
    served.serve_forever()


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
