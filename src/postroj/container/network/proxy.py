"""The proxies that this host goes to the outside by, as a guest can reach them."""

import os
import re
import socket
from collections.abc import Mapping
from contextlib import suppress

from postroj.container.network.resolver import Target

_ADDRESSES = ("http_proxy", "https_proxy")
_NAMES = (*_ADDRESSES, "no_proxy")
_PORTS = {"http": 80, "https": 443}


def variables(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return http_proxy, https_proxy and no_proxy as far as they are set, in both letter cases.

    Programs differ in which they read: apt and curl want http_proxy, others HTTP_PROXY. If both are set, the first
    counts.
    """
    found = {}
    for name in _NAMES:
        value = (environment.get(name) or environment.get(name.upper()) or "").strip()
        if value and value.isprintable():
            if name in _ADDRESSES and "://" not in value:  # as curl takes it, and apt does not
                value = f"http://{value}"
            found[name] = found[name.upper()] = value
    return found


def addresses(found: Mapping[str, str]) -> set[str]:
    """Return the proxies among the values of variables."""
    return {value for name, value in found.items() if name.lower() in _ADDRESSES}


def targets(url: str) -> list[Target]:
    """Return where a proxy is, as socket addresses, if it is on this host's loopback; otherwise nothing.

    Of names only `localhost` is looked up: no name server is waited for here.
    """
    from urllib.parse import urlsplit

    with suppress(OSError, ValueError):
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme, 0)
        flags = 0 if parts.hostname == "localhost" else socket.AI_NUMERICHOST
        infos = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM, flags=flags)
        if parts.hostname and port and all(_is_loopback(address[0]) for *_, address in infos):
            return [(family, address) for family, _, _, _, address in infos]
    return []


def at(url: str, host: str, port: int) -> str:
    """Return a proxy's URL with another place, and the same user and password."""
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    user, mark, _ = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{user}{mark}{host}:{port}").geturl()


def _place(url: str) -> tuple[str, int]:
    """Return the host and the port of a proxy's URL."""
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    host = parts.hostname or ""
    return f"[{host}]" if ":" in host else host, parts.port or _PORTS.get(parts.scheme, 0)


def as_on_host(text: str, relayed: Mapping[str, str]) -> str:
    """Return what a guest has printed, with the host's proxies as they are called on the host.

    `relayed` has their URLs there, by those that the guest knows. Programs print HOST:PORT, or HOST PORT as apt does.
    """
    for own, hosts in relayed.items():
        (host, port), (name, number) = _place(own), _place(hosts)
        for between in " :":
            seen = rf"(?<![\w.]){re.escape(host)}{between}{port}(?!\w)"
            text = re.sub(seen, f"{name}{between}{number} (a proxy of this host)", text)
    return text


def _is_loopback(address: object) -> bool:
    text = str(address)
    return text == "::1" or text.startswith(("127.", "::ffff:127."))
