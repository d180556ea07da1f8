"""A verdict in the forms that people and programs read."""


def printable(text: str) -> str:
    """Return a line without control characters: a guest must not recolour, retitle or overwrite a terminal."""
    return "".join(c if c.isprintable() or c == "\t" else f"\\x{ord(c):02x}" for c in text)
