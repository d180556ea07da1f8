"""A verdict in the forms that people and programs read."""

from postroj.colours import without_colours


def printable(text: str) -> str:
    """Return a line without colours and control characters: a guest must not retitle or overwrite a terminal."""
    return "".join(c if c.isprintable() or c == "\t" else f"\\x{ord(c):02x}" for c in without_colours(text))
