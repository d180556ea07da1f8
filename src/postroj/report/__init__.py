"""A verdict in the forms that people and programs read."""


def printable(text: str) -> str:
    """A line without control characters: what a guest prints must not recolour, retitle or overwrite a terminal."""
    return "".join(c if c.isprintable() or c == "\t" else f"\\x{ord(c):02x}" for c in text)
