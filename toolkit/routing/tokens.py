"""Words, numbers and signs of many texts at once, each as a number of 64 bits. In: texts. Out: numbers, and whose.

A number is the polynomial of a token's bytes modulo 2**64, so that those of a whole batch come out of running sums, and
no token becomes an object of its own. `tokens` tells the same of one text in words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]

TOKEN = re.compile(r"[^\W\d_]+|0+|[^\w\s]")
DIGITS = str.maketrans("123456789", "000000000")
AT_ONCE = 1 << 16
BASE = 0x9E3779B97F4A7C15
BETWEEN, LETTER, DIGIT, SIGN = range(4)


def tokens(text: str) -> list[str]:
    """Words in small letters, numbers with zeros for their digits, and other signs one by one."""
    return TOKEN.findall(text.lower().translate(DIGITS))


def hashed(texts: Sequence[str]) -> tuple[Hashes, NDArray[np.int64]]:
    """The numbers of all tokens, in order, and which text each is of."""
    lots = [(first, *_hashed(lot)) for first, lot in _lots(texts)]
    if not lots:
        return np.empty(0, np.uint64), np.empty(0, np.int64)
    numbers = np.concatenate([each for _, each, _ in lots])
    return numbers, np.concatenate([first + rows for first, _, rows in lots])


def _hashed(plain: Sequence[bytes]) -> tuple[Hashes, NDArray[np.int64]]:
    """The numbers of the tokens of a lot, and which of its texts each is of."""
    ends_of_texts = np.cumsum(np.fromiter(map(len, plain), np.int64, len(plain)) + 1)
    joined = b"\n".join([*plain, b""])
    raw, kind = np.frombuffer(joined, np.uint8), np.frombuffer(joined.translate(KIND), np.uint8)
    new = kind == SIGN
    new[0] = True
    new[1:] |= kind[1:] != kind[:-1]
    edges = np.flatnonzero(new)
    wanted = kind[edges[:-1]] != BETWEEN
    starts, ends = edges[:-1][wanted], edges[1:][wanted]
    powers, inverses = _powers(1 << max(len(raw) - 1, AT_ONCE - 1).bit_length())
    sums = np.zeros(len(raw) + 1, np.uint64)
    np.cumsum(FOLDED[raw] * powers[: len(raw)], out=sums[1:])
    numbers = (sums[ends] - sums[starts]) * inverses[starts]
    counts = np.searchsorted(starts, ends_of_texts)
    counts[1:] -= counts[:-1].copy()
    return numbers, np.repeat(np.arange(len(plain)), counts)


def _lots(texts: Sequence[str]) -> Iterator[tuple[int, list[bytes]]]:
    """The texts in bytes, in lots of about `AT_ONCE` of them, each with the place of its first."""
    lot: list[bytes] = []
    first = size = 0
    for place, text in enumerate(texts):
        plain = text if text.isascii() else " ".join(tokens(text))
        lot.append(plain.encode(errors="surrogatepass"))
        size += len(lot[-1]) + 1
        if size >= AT_ONCE:
            yield first, lot
            lot, first, size = [], place + 1, 0
    if lot:
        yield first, lot


@cache
def _powers(size: int) -> tuple[Hashes, Hashes]:
    """The powers of the base, and of its inverse modulo 2**64."""
    found = []
    for base in (BASE, pow(BASE, -1, 1 << 64)):
        powers = np.full(size, base, np.uint64)
        powers[0] = 1
        found.append(np.cumprod(powers))
    return found[0], found[1]


def _kind(byte: int) -> int:
    """What a byte is. Beyond ASCII texts come as tokens with blanks between them, so that all bytes hold together."""
    sign = chr(byte)
    if byte >= 128 or sign.isalpha():
        return LETTER
    return DIGIT if sign.isdigit() else BETWEEN if sign.isspace() or sign == "_" else SIGN


KIND = bytes(map(_kind, range(256)))
FOLDED = 1 + np.array([ord(chr(b).lower().translate(DIGITS)) if b < 128 else b for b in range(256)], np.uint64)
