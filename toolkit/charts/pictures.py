"""Pictures of a modest size: a PNG of few colours, written anew with a palette. Pure: bytes in, bytes out.

What draws the charts writes PNGs quickly and hardly compressed: a megabyte for lines on nothing. A notebook that keeps
them wants a tenth of that. Source: Portable Network Graphics, third edition (W3C 2025).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"
TRUE_COLOUR_WITH_ALPHA, INDEXED = 6, 3
MOST_COLOURS = 256
COARSER = (3, 4, 5)
"""Bits of each channel that may be rounded off, until there are few enough colours."""


def smaller(png: bytes) -> bytes:
    """The same picture with at most 256 colours; what it cannot read it gives back as it is."""
    parts = list(_chunks(png))
    if not parts or parts[0][0] != b"IHDR":
        return png
    width, height, depth, kind, *rest = struct.unpack(">IIBBBBB", parts[0][1])
    if (depth, kind, rest[-1]) != (8, TRUE_COLOUR_WITH_ALPHA, 0):
        return png
    packed = zlib.decompress(b"".join(body for name, body in parts if name == b"IDAT"))
    pixels = _pixels(packed, width, height)
    found = None if pixels is None else _few(pixels)
    if found is None:
        return png
    colours, places = found
    lines = np.zeros((height, width + 1), dtype=np.uint8)  # the first byte of a line says: not filtered
    lines[:, 1:] = places.reshape(height, width)
    kept = [(name, body) for name, body in parts[1:] if name == b"pHYs"]
    made = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, INDEXED, 0, 0, 0)),
        *kept,
        (b"PLTE", colours[:, :3].tobytes()),
        (b"tRNS", colours[:, 3].tobytes()),
        (b"IDAT", zlib.compress(lines.tobytes(), 9)),
        (b"IEND", b""),
    ]
    written = SIGNATURE + b"".join(_chunk(name, body) for name, body in made)
    return written if len(written) < len(png) else png


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(SIGNATURE)
    while png.startswith(SIGNATURE) and at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        yield png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        at += 12 + length


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _pixels(packed: bytes, width: int, height: int) -> NDArray[np.uint8] | None:
    """(height x width, 4) red, green, blue, alpha; None where lines are filtered in other ways than those it knows."""
    lines = np.frombuffer(packed, dtype=np.uint8).reshape(height, 1 + 4 * width)
    filters, bare = lines[:, 0], lines[:, 1:].reshape(height, width, 4)
    if (filters == 0).all():
        return bare.reshape(-1, 4)
    if not (filters == 1).all():
        return None
    return np.asarray(np.cumsum(bare, axis=1, dtype=np.uint8)).reshape(-1, 4)


def _few(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]] | None:
    """(c, 4) colours and (n,) which of them each pixel has; the first is for nothing. None where they are too many."""
    drawn = np.flatnonzero(pixels[:, 3])
    seen = pixels[drawn]
    for bits in (0, *COARSER):
        half, most = (1 << bits) >> 1, 256 - (1 << bits)
        rounded = np.minimum(((seen.astype(np.uint16) + half) >> bits) << bits, most).astype(np.uint8)
        found, places = np.unique(np.ascontiguousarray(rounded).view(np.uint32).ravel(), return_inverse=True)
        if len(found) < MOST_COLOURS:
            break
    else:
        return None
    counts = np.bincount(places, minlength=len(found))
    means = [np.bincount(places, weights=seen[:, channel], minlength=len(found)) / counts for channel in range(4)]
    colours = np.zeros((len(found) + 1, 4), dtype=np.uint8)
    colours[1:] = np.round(np.column_stack(means))
    which = np.zeros(len(pixels), dtype=np.uint8)
    which[drawn] = places + 1
    return colours, which
