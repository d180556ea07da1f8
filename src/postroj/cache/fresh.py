"""Whether package lists are up to date: one conditional request for each repository, all at the same time."""

import ipaddress
import os
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

_SECONDS = 10.0
_BEGINNING = 4096


def ask(
    root: str, seal: Seal, valid_until: Callable[[str], float], *, deadline: Deadline, anywhere: bool
) -> Callable[[], bool]:
    """Begin to ask whether each index of a layer is what its URL has now; return what waits for the answer.

    That is False if it cannot be told. Unless `anywhere`, nothing is asked that only this host can reach: a URL is the
    image's choice.
    """
    answers: list[bool] = []
    asking = [
        threading.Thread(
            target=lambda url=url, path=path: answers.append(_is_same(url, path, deadline, anywhere)), daemon=True
        )
        for url, path in ((url, os.path.join(root, file)) for url, file in seal.indexes.items())
        if _is_valid(path, valid_until, seal.made)
    ]
    if not asking or len(asking) < len(seal.indexes):
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


def _is_same(url: str, path: str, deadline: Deadline, anywhere: bool) -> bool:
    seconds = deadline.sooner(_SECONDS).remaining() or _SECONDS
    with suppress(OSError, ValueError, UsageError):
        return download.is_same(url, path, seconds=seconds, is_refused=lambda one: not anywhere and _is_local(one))
    return False


def _is_local(url: str) -> bool:
    """Return whether a URL may lead to what only this host can reach. Raises OSError, ValueError."""
    parts = urllib.parse.urlsplit(url)
    if download.proxy_of(url):
        return False  # the proxy asks
    found = socket.getaddrinfo(parts.hostname, parts.port or parts.scheme, type=socket.SOCK_STREAM)
    addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
    return not addresses or any(one.is_loopback or one.is_link_local or one.is_unspecified for one in addresses)
