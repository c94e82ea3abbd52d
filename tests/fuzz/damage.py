"""Damages valid input, the same way for the same seed."""

from __future__ import annotations

import random
from collections.abc import Sequence

TOKENS = (
    b"1e400", b"-1", b"NaN", b"Infinity", b"99999999999999999999", b"100000000000", b"2147483648",
    b"null", b"true", b"{}", b"[]", b'""', b"[" * 3000, b'{"a":' * 3000, b"a." * 3000,
    b'"\\ud800"', b"\\u0000", b"\x00", b"\xff\xfe", b"\xed\xa0\x80", b"\x1b[2J", b"\r\n",
    b"\xe2\x80\xae", b"/etc/passwd", b"../../x", b"\xff\xff\xff\xff", b"\x00\x00\x00\x80",
    b"\x06\x00\x00\x00", b"\x0a\x0d\x0d\x0a", b"x" * 300, b"fate: {}", b"test: ", b"=", b'"', b",",
)  # fmt: skip
"""What breaks readers: large numbers, depth, other encodings, control characters, paths."""


def damaged(seed: str, corpus: Sequence[bytes]) -> bytes:
    """One of the inputs, changed in one to eight places."""
    rng = random.Random(seed)
    content = bytearray(rng.choice(corpus))
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        at = rng.randrange(len(content) + 1)
        size = rng.choice((1, 1, 2, 4, 16, 200))
        match rng.randrange(7):
            case 0:
                content[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                del content[at : at + size]
            case 2:
                content[at:at] = content[at : at + size]
            case 3:
                content[at : at + rng.choice((0, 1, 4))] = rng.choice(TOKENS)
            case 4:
                del content[at:]
            case 5:
                other = rng.choice(corpus)
                start = rng.randrange(len(other) + 1)
                content[at:at] = other[start : start + size]
            case _:
                _replace_number(content, at, rng)
    return bytes(content)


def _replace_number(content: bytearray, at: int, rng: random.Random) -> None:
    """Put a token in the place of the next number."""
    digits = b"0123456789"
    while at < len(content) and content[at] not in digits:
        at += 1
    end = at
    while end < len(content) and content[end] in digits:
        end += 1
    content[at:end] = rng.choice(TOKENS[:9])
