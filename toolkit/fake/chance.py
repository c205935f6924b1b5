"""Chance that depends on nothing but words: the same words, the same numbers. Pure."""

from __future__ import annotations

import math
import struct
from hashlib import blake2b
from random import Random
from statistics import NormalDist

_STANDARD = NormalDist()
_EIGHT = struct.Struct("<8Q")


def uniforms(*words: str | bytes | int) -> tuple[float, ...]:
    """Eight numbers in [0, 1), drawn by the words."""
    return tuple((number >> 11) * 2.0**-53 for number in _EIGHT.unpack(_digest(words)))


def dice(*words: str | bytes | int) -> Random:
    """As many numbers as wanted, drawn by the words."""
    return Random(int.from_bytes(_digest(words)[:8], "little"))


def lognormal(uniform: float, *, spread: float) -> float:
    """A factor whose median is 1: exp(`spread` × a standard normal number)."""
    return math.exp(spread * _STANDARD.inv_cdf(max(uniform, 1e-12))) if spread else 1.0


def _digest(words: tuple[str | bytes | int, ...]) -> bytes:
    told = (word if isinstance(word, bytes) else str(word).encode("utf-8", "surrogatepass") for word in words)
    return blake2b(b"\x00".join(told)).digest()
