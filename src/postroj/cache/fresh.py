"""Whether package lists are up to date: one request for each repository, all at the same time."""

import hashlib
import ipaddress
import os
import re
import socket
import threading
import time
import urllib.parse
from collections.abc import Callable
from contextlib import suppress

from postroj import download
from postroj.cache.seal import Seal
from postroj.deadline import Deadline
from postroj.errors import UsageError
from postroj.family.cache import METALINK, Kept

_SECONDS = 10.0
_MOST = 100
"""How many are asked at the same time; an image with more repositories has its lists updated each time."""
_BEGINNING = 4096
_METALINK = 1 << 20
"""The bytes of a metalink that are read."""
_OWN = "file:"


def ask(root: str, seal: Seal, kept: Kept, *, image: str, deadline: Deadline, anywhere: bool) -> Callable[[], bool]:
    """Begin to ask whether each index of a layer is what its URL has now; return what waits for the answer.

    That is False if it cannot be told. `root` is the layer's directory, `image` that of the image. Unless `anywhere`,
    nothing is asked that only this host can reach: a URL is the image's choice.
    """
    answers: list[bool] = []
    indexes = {
        url: os.path.join(root if path in seal.files else image, path)
        for url, path in seal.indexes.items()
        if not url.startswith(_OWN)
    }

    def look(url: str, path: str) -> None:
        answers.append(_is_current(url, path, kept, deadline, anywhere))

    asking = [
        threading.Thread(target=look, args=one, daemon=True)
        for one in indexes.items()
        if _is_valid(one[1], kept.valid_until, seal.made)
    ]
    if not seal.indexes or len(asking) < len(indexes) or len(asking) > _MOST:
        return lambda: False
    for thread in asking:
        thread.start()
    limit = deadline.sooner(_SECONDS)

    def wait() -> bool:
        for thread in asking:
            thread.join(limit.remaining())
        return answers.count(True) == len(asking)

    return wait


def _is_valid(path: str, valid_until: Callable[[str], float], made: float) -> bool:
    with suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
        until = valid_until(file.read(_BEGINNING))
        # An image whose repositories have ended takes them all the same.
        return not made < until < time.time()
    return False


def _is_current(url: str, path: str, kept: Kept, deadline: Deadline, anywhere: bool) -> bool:
    seconds = deadline.sooner(_SECONDS).remaining() or _SECONDS

    def is_refused(one: str) -> bool:
        return not anywhere and _is_local(one)

    with suppress(OSError, ValueError, UsageError):
        if url.startswith(METALINK):
            told = download.beginning(url.removeprefix(METALINK), _METALINK, seconds=seconds, is_refused=is_refused)
            return _is_named(told, path)
        # UNKNOWN makes it no URL that could be asked
        return download.is_same(url, path, seconds=seconds, has_times=kept.has_times, is_refused=is_refused)
    return False


def _is_named(metalink: bytes, path: str) -> bool:
    """Return whether a metalink has the SHA256 of a file as that of the newest one: others are named behind it."""
    found = re.search(rb'<hash type="sha256">\s*([0-9a-f]{64})\s*</hash>', metalink)
    with open(path, "rb") as file:
        return found is not None and found[1].decode() == hashlib.file_digest(file, "sha256").hexdigest()


def _is_local(url: str) -> bool:
    """Return whether a URL may lead to what only this host can reach. Raises OSError, ValueError."""
    parts = urllib.parse.urlsplit(url)
    if download.proxy_of(url):
        return False  # the proxy asks
    found = socket.getaddrinfo(parts.hostname, parts.port or parts.scheme, type=socket.SOCK_STREAM)
    addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
    return not addresses or any(one.is_loopback or one.is_link_local or one.is_unspecified for one in addresses)
