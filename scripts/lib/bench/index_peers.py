"""What others make of the same passages and vectors, one JSON line on standard output.

    index_peers.py FOLDER DIMENSIONS     bm25s for words, faiss for vectors (exact, and a graph where building one is bearable),
                                         both in one thread and in memory

Runs with the Python packages of tests/python/bench-requirements.txt.
"""

import json
import pathlib
import statistics
import sys
import time

import bm25s
import faiss
import numpy
import Stemmer

DEPTH, TOP, RANK_CONSTANT = 100, 10, 60
# Building a graph of more takes longer than anybody wants to wait for a comparison.
MOST_FOR_GRAPH = 100_000
QUERIES = 100


def milliseconds(search, queries: int) -> dict:
    for query in range(5):
        search(query)
    times = []
    for query in range(queries):
        begun = time.perf_counter()
        search(query)
        times.append((time.perf_counter() - begun) * 1000)
    times.sort()
    return {"median": round(statistics.median(times), 3), "p99": round(times[len(times) * 99 // 100], 3)}


def fuse(*rankings) -> list:
    scores = {}
    for ranking in rankings:
        for rank, row in enumerate(ranking, start=1):
            scores[row] = scores.get(row, 0) + 1 / (RANK_CONSTANT + rank)
    return sorted(scores, key=scores.get, reverse=True)[:TOP]


def main(folder: pathlib.Path, dimensions: int) -> dict:
    faiss.omp_set_num_threads(1)
    texts = (folder / "passages.txt").read_text().split("\n")
    asked = (folder / "queries.txt").read_text().split("\n")
    vectors = numpy.fromfile(folder / "vectors.f32", dtype=numpy.float32).reshape(-1, dimensions)
    queries = numpy.fromfile(folder / "queries.f32", dtype=numpy.float32).reshape(-1, dimensions)
    faiss.normalize_L2(vectors)
    faiss.normalize_L2(queries)
    line = {"passages": len(texts), "dimensions": dimensions}
    stemmer = Stemmer.Stemmer("english")

    begun = time.process_time()
    words = bm25s.BM25()
    words.index(bm25s.tokenize(texts, stopwords="en", stemmer=stemmer, show_progress=False), show_progress=False)
    line["words_build_cpu_s"] = round(time.process_time() - begun, 2)
    exact = faiss.IndexFlatIP(dimensions)
    exact.add(vectors)
    count = min(QUERIES, len(asked))

    def by_words(query: int):
        terms = bm25s.tokenize(asked[query], stopwords="en", stemmer=stemmer, show_progress=False)
        return words.retrieve(terms, k=DEPTH, n_threads=1, show_progress=False)[0][0]

    def by_vector(index):
        return lambda query: index.search(queries[query : query + 1], DEPTH)[1][0]

    line["words_ms"] = milliseconds(by_words, count)
    line["exact_vectors_ms"] = milliseconds(by_vector(exact), count)
    best = exact
    if len(texts) <= MOST_FOR_GRAPH:
        graph = faiss.IndexHNSWFlat(dimensions, 32, faiss.METRIC_INNER_PRODUCT)
        graph.hnsw.efConstruction, graph.hnsw.efSearch = 128, 128
        begun = time.process_time()
        graph.add(vectors)
        line["graph_build_cpu_s"] = round(time.process_time() - begun, 2)
        line["graph_vectors_ms"] = milliseconds(by_vector(graph), count)
        wanted = exact.search(queries[:count], TOP)[1]
        found = graph.search(queries[:count], TOP)[1]
        hits = sum(len(set(one) & set(other)) for one, other in zip(wanted.tolist(), found.tolist(), strict=True))
        line["graph_recall_at_10"] = round(hits / (TOP * count), 4)
        best = graph
    line["hybrid_ms"] = milliseconds(lambda query: fuse(by_words(query), by_vector(best)(query)), count)
    return line


if __name__ == "__main__":
    print(json.dumps(main(pathlib.Path(sys.argv[1]), int(sys.argv[2]))))
