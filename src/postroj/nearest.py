"""The name that was meant by one that is not known: of an option, an image, a machine, a check."""

from collections.abc import Iterable

_LIKE = 0.65
"""How like each other two names are, by difflib's ratio, of which one may be the other mistyped."""


def did_you_mean(name: str, known: Iterable[str], most: int = 1) -> str:
    """Return a question that has the nearest of the known names, up to `most`; empty if none is near."""
    import difflib  # only after a mistake

    others = [one for one in known if one != name]  # an option of the command may not be one of the command in it
    near = difflib.get_close_matches(name, others, n=most, cutoff=_LIKE)
    return f"did you mean {' or '.join(near)}?" if near else ""
