"""How like a question texts are: BM25 over words, or cosine over vectors. Pure.

Source: Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond (2009), with k1 = 1.2, b = 0.75.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

K1, B = 1.2, 0.75
_WORDS = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W_]+")


def bm25(question: str, texts: Sequence[str]) -> list[float]:
    """A score for each text; 0 where it has no word of the question's. Words are compared in lower case."""
    bags = [Counter(words(text)) for text in texts]
    lengths = [bag.total() for bag in bags]
    average = sum(lengths) / len(texts) if sum(lengths) else 1.0
    scores = [0.0] * len(texts)
    for word in dict.fromkeys(words(question)):
        found = sum(word in bag for bag in bags)
        if not found:
            continue
        rarity = math.log(1 + (len(texts) - found + 0.5) / (found + 0.5))
        for place, bag in enumerate(bags):
            times = bag[word]
            scores[place] += rarity * times * (K1 + 1) / (times + K1 * (1 - B + B * lengths[place] / average))
    return scores


def cosine(question: Sequence[float], vectors: Sequence[Sequence[float]]) -> list[float]:
    """A score for each vector, from -1 to 1; 0 for a vector of zeros."""
    length = math.hypot(*question)
    found = []
    for vector in vectors:
        both = length * math.hypot(*vector)
        found.append(sum(a * b for a, b in zip(question, vector, strict=True)) / both if both else 0.0)
    return found


def words(text: str) -> list[str]:
    """Words in lower case; a character for a word where a script puts no blanks between them."""
    return _WORDS.findall(text.casefold())
