"""What bm25s finds in a set in the layout of BEIR; one JSON line on standard output: a row of figures for each variant.

    quality_peers.py FOLDER

All are Lucene's BM25, over title and text as one. They differ in how text becomes terms, and in k1:
  as_ours   the steps of terms.py, with the k1 and b that the product's index library has
  stemmed   bm25s's own words and stop words with the English stemmer of Snowball, and its usual k1
  plain     bm25s as it comes, without a stemmer
Figures are those of `trec_eval`, as in handler/index/evaluate.rs.
"""

import json
import math
import pathlib
import sys

import bm25s
import Stemmer

import terms

DEPTH = 100


def judgements(folder: pathlib.Path) -> dict[str, dict[str, int]]:
    judged: dict[str, dict[str, int]] = {}
    for line in (folder / "qrels/test.tsv").read_text(encoding="utf-8").splitlines()[1:]:
        query, entry, score = line.split("\t")
        judged.setdefault(query, {})[entry] = max(int(score), 0)
    return {query: gains for query, gains in judged.items() if any(gains.values())}


def discounted(gains: list[int]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, start=1))


def measure(found: list[str], gains: dict[str, int]) -> dict[str, float]:
    right = [entry for entry, gain in gains.items() if gain > 0]
    first = next((rank for rank, entry in enumerate(found, start=1) if gains.get(entry, 0) > 0), None)
    best = discounted(sorted(gains.values(), reverse=True)[:10])
    return {
        "ndcg@10": discounted([gains.get(entry, 0) for entry in found[:10]]) / best,
        "recall@20": sum(entry in found[:20] for entry in right) / len(right),
        "recall@100": sum(entry in found[:100] for entry in right) / len(right),
        "mrr": 1 / first if first else 0.0,
    }


def steps(stemmer: Stemmer.Stemmer | None):
    return lambda texts: bm25s.tokenize(texts, stopwords="en", stemmer=stemmer, return_ids=False, show_progress=False)


def main(folder: pathlib.Path) -> dict[str, dict[str, float]]:
    corpus = [json.loads(line) for line in (folder / "corpus.jsonl").open(encoding="utf-8")]
    asked = {query["_id"]: query["text"] for query in map(json.loads, (folder / "queries.jsonl").open(encoding="utf-8"))}
    judged = judgements(folder)
    variants = {
        "as_ours": (lambda texts: [terms.of(text) for text in texts], 1.2),
        "stemmed": (steps(Stemmer.Stemmer("english")), 1.5),
        "plain": (steps(None), 1.5),
    }
    figures = {}
    for name, (split, k1) in variants.items():
        words = bm25s.BM25(method="lucene", k1=k1, b=0.75)
        words.index(split([terms.whole(entry) for entry in corpus]), show_progress=False)
        rows = []
        for query, terms_of_query in zip(judged, split([asked[query] for query in judged]), strict=True):
            found = best(words, terms_of_query, min(DEPTH + 1, len(corpus)))
            # As BEIR does, an entry that is the query itself is left out.
            ids = [corpus[at]["_id"] for at in found if corpus[at]["_id"] != query][:DEPTH]
            rows.append(measure(ids, judged[query]))
        figures[name] = {what: sum(row[what] for row in rows) / len(rows) for what in rows[0]}
    return figures


def best(words: bm25s.BM25, query: list[str], depth: int) -> list[int]:
    """The entries with any of the terms, best first."""
    if not query:
        return []
    rows, scores = words.retrieve([query], k=depth, n_threads=1, show_progress=False)
    return [int(row) for row, score in zip(rows[0], scores[0], strict=True) if score > 0]


if __name__ == "__main__":
    print(json.dumps(main(pathlib.Path(sys.argv[1]))))
