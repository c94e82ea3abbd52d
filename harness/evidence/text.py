"""Text of others, before it goes to a terminal, into Markdown or into XML."""

from __future__ import annotations


def visible(text: str) -> str:
    r"""One line without control characters: what cannot be printed is escaped, as ``\x1b``.

    That includes newlines, characters that change the direction of writing, and halves of
    surrogate pairs.
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )
