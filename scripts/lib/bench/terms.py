"""Text becomes terms as the product does it for English, as nearly as public packages allow: words without joining marks, lower
case, accents folded, the stop words of Lucene, and the English stemmer of Snowball."""

import collections
import re
import unicodedata

import Stemmer

WORD = re.compile(r"\d+(?:[.,]\d+)+|[^\W_]+(?:['\u2019][^\W_]+)*")
# Those of Lucene's StandardAnalyzer, which the product's index library has too.
STOP = frozenset(
    "a an and are as at be but by for if in into is it no not of on or such that the their then there these they this to was will "
    "with".split()
)
STEMMER = Stemmer.Stemmer("english")


def of(text: str) -> list[str]:
    decomposed = unicodedata.normalize("NFKD", text.lower())
    plain = "".join(c for c in decomposed if not unicodedata.combining(c))
    return STEMMER.stemWords([word for word in WORD.findall(plain) if word not in STOP])


def counts(text: str) -> collections.Counter:
    return collections.Counter(of(text))


def whole(entry: dict) -> str:
    """An entry as BEIR has others read it."""
    return f"{entry.get('title', '')} {entry['text']}".strip()
