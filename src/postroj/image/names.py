"""What an image can be called."""

import re

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}")


def is_name(text: str) -> bool:
    """Whether an image can be called so."""
    return _NAME.fullmatch(text) is not None
