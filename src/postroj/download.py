"""The one way to fetch a file: over http(s), once, into a cache, resumed where it was cut off, checked."""

import errno
import hashlib
import http.client
import json
import os
import re
import socket
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from postroj import __version__, locks
from postroj.deadline import Deadline
from postroj.errors import DeadlineError, DownloadError, UsageError
from postroj.events import Step, Transfer, Warn, emit

_CHUNK = 256 * 1024
_STALL_SECONDS = 30.0
_TRIES = 3
_MOST_COMPARED = 32 << 20


def fetch(url: str, directory: str, *, deadline: Deadline, offline: bool = False) -> str:
    """Fetch a URL below `directory` and return the file's path.

    A fragment `#sha256=…` is checked. A file that is in the cache already is asked after (ETag, Last-Modified) and
    not fetched again unless it has changed; with a checksum that fits, or `offline`, the network is not touched at all.
    Raises UsageError for a malformed URL, DownloadError, DeadlineError.
    """
    plain, sha256 = _split(url)
    base = os.path.basename(urllib.parse.unquote(urllib.parse.urlsplit(plain).path))
    name = re.sub(r"[^A-Za-z0-9._+~-]", "_", base).lstrip(".")[-120:] or "download"
    place = os.path.join(directory, hashlib.sha256(plain.encode()).hexdigest()[:24])
    lock = locks.lock_directory(place, create=True)  # a second run waits for the first one's download
    assert lock is not None
    with lock:
        return _Cached(plain, sha256, place, name).fetch(deadline, offline)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to http and https only, never from https to http, and to no URL that is refused."""

    def __init__(self, is_refused: Callable[[str], bool] = lambda url: False) -> None:
        self._is_refused = is_refused

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        old, new = urllib.parse.urlsplit(req.full_url).scheme, urllib.parse.urlsplit(newurl).scheme
        if new not in ("http", "https") or (old, new) == ("https", "http") or self._is_refused(newurl):
            raise urllib.error.HTTPError(newurl, code, "with a redirect that is not followed", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _Cached:
    """One URL's place in the cache: the file, what is there of it so far, and the server's validators of either."""

    def __init__(self, url: str, sha256: str, place: str, name: str) -> None:
        self._url = url
        self._sha256 = sha256
        self._subject = name
        self._file = os.path.join(place, name)
        self._part = os.path.join(place, ".part")
        self._validators = os.path.join(place, ".validators")
        self._headers: Any = None

    def fetch(self, deadline: Deadline, offline: bool) -> str:
        have = os.path.exists(self._file)
        if have and self._sha256:
            if _sha256(self._file) == self._sha256:
                return self._file
            os.unlink(self._file)
            have = False
        if offline:
            if not have:
                raise DownloadError(f"{self._url} is not in the cache, and --offline forbids downloading it")
            return self._file
        emit(Step(self._subject, "checking for a newer version" if have else "downloading"))
        for number in range(1, _TRIES + 1):
            try:
                fresh = self._transfer(have, deadline)
                break
            except urllib.error.HTTPError as error:
                hint = "check the URL" if error.code == 404 else ""
                raise DownloadError(f"{self._url} answers {error.code} {error.reason}", hint=hint) from error
            except (OSError, http.client.HTTPException) as error:
                reason = getattr(error, "reason", None) or error
                if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                    raise DownloadError(
                        f"{self._subject} cannot be stored: {error.strerror}", hint="free some space"
                    ) from error
                if deadline.expired():
                    raise DeadlineError(f"{self._url} was not fetched within {deadline.seconds:g} s") from error
                if number == _TRIES:
                    way = _way(self._url)
                    if have:
                        emit(Warn(f"{self._url} cannot be reached{way} ({reason}): the copy in the cache is used"))
                        return self._file
                    raise DownloadError(
                        f"{self._url} cannot be fetched{way}",
                        why=str(reason),
                        hint="check http_proxy, https_proxy and no_proxy" if way else self._hint(reason),
                    ) from error
        if fresh:
            self._check()
            os.replace(self._part, self._file)
            # Last: a kill before this costs a download, a kill after it nothing.
            self._write_validators("file", self._headers)
        return self._file

    def _hint(self, reason: object) -> str:
        if isinstance(reason, socket.gaierror):
            host = urllib.parse.urlsplit(self._url).hostname
            return f"check the name {host}, and this host's network"
        begun = os.path.exists(self._part) and os.path.getsize(self._part)
        return "run again to resume" if begun else "check the URL, and whether its server can be reached"

    def _check(self) -> None:
        if not self._sha256:
            return
        found = _sha256(self._part)
        if found != self._sha256:
            os.unlink(self._part)
            raise DownloadError(
                f"checksum mismatch: {self._url}",
                why=f"expected sha256 {self._sha256}\ngot      sha256 {found}",
                hint="check the URL and its #sha256=",
            )

    def _transfer(self, have: bool, deadline: Deadline) -> bool:
        """One attempt; False where the server says that the cached file is still right."""
        validators = self._read_validators()
        start = os.path.getsize(self._part) if os.path.exists(self._part) else 0
        headers = {"User-Agent": f"postroj/{__version__}", "Accept-Encoding": "identity"}
        if have and validators.get("of") == "file":
            headers |= {name: validators[key] for name, key in _CONDITIONAL if key in validators}
        elif (
            start
            and validators.get("of") == "part"
            and (validator := validators.get("etag") or validators.get("modified"))
        ):
            headers |= {"Range": f"bytes={start}-", "If-Range": validator}
        request = urllib.request.Request(self._url, headers=headers)
        seconds = deadline.sooner(_STALL_SECONDS).remaining()
        try:
            response = urllib.request.build_opener(_Redirects).open(request, timeout=seconds)
        except urllib.error.HTTPError as error:
            if error.code == 304 and have:
                return False
            if error.code == 416:  # what is there of it is no part of what the server has now
                os.unlink(self._part)
                raise ConnectionError("the server refuses to resume") from error
            raise
        with response:
            self._receive(response, start if response.status == 206 else 0, deadline)
            self._headers = response.headers
        return True

    def _receive(self, response: Any, start: int, deadline: Deadline) -> None:
        length = response.headers.get("Content-Length")
        total = start + int(length) if length and length.isdigit() else 0
        self._write_validators("part", response.headers)
        done = start
        with open(self._part, "r+b" if start else "wb") as file:
            file.seek(start)
            while chunk := response.read1(_CHUNK):
                if deadline.expired():
                    raise TimeoutError("the time is up")
                file.write(chunk)
                done += len(chunk)
                emit(Transfer(self._subject, done, total))
        if total and done != total:
            raise ConnectionError(f"cut off after {done} of {total} bytes")

    def _read_validators(self) -> dict[str, str]:
        with suppress(OSError, ValueError), open(self._validators) as file:
            read = json.load(file)
            if isinstance(read, dict):
                return {str(key): str(value) for key, value in read.items()}
        return {}

    def _write_validators(self, of: str, headers: Any) -> None:
        validators = {"of": of}
        if etag := headers.get("ETag"):
            validators["etag"] = etag
        if modified := headers.get("Last-Modified"):
            validators["modified"] = modified
        with open(self._validators, "w") as file:
            json.dump(validators, file)


def is_same(
    url: str,
    path: str,
    *,
    seconds: float,
    has_times: bool = True,
    is_refused: Callable[[str], bool] = lambda url: False,
) -> bool:
    """Return whether a URL has what is in a file, by one request.

    It is a conditional one if the time of the file is that of the server's: `has_times`. None is sent to what
    `is_refused`, whoever redirects to it. Raises OSError, ValueError, UsageError.
    """
    import email.utils

    with open(path, "rb") as file:
        known = file.read(_MOST_COMPARED + 1)
        modified = email.utils.formatdate(os.fstat(file.fileno()).st_mtime, usegmt=True)
    headers = {"If-Modified-Since": modified} if has_times else {}
    try:
        found = beginning(url, len(known) + 1, seconds=seconds, headers=headers, is_refused=is_refused)
    except urllib.error.HTTPError as error:
        return error.code == 304
    return len(known) <= _MOST_COMPARED and found == known


def beginning(
    url: str,
    size: int,
    *,
    seconds: float,
    headers: Mapping[str, str] | None = None,
    is_refused: Callable[[str], bool] = lambda url: False,
) -> bytes:
    """Return the first bytes of what a URL has, by one request that is not sent to what `is_refused`.

    Raises OSError, ValueError, UsageError.
    """
    if is_refused(url):
        raise ConnectionRefusedError(f"{url} is not asked")
    sent = {"User-Agent": f"postroj/{__version__}", "Accept-Encoding": "identity", **(headers or {})}
    request = urllib.request.Request(_split(url)[0], headers=sent)
    try:
        with urllib.request.build_opener(_Redirects(is_refused)).open(request, timeout=seconds) as response:
            found: bytes = response.read(size)
            return found
    except http.client.HTTPException as error:
        raise OSError(str(error)) from error


def proxy_of(url: str) -> str:
    """Return the proxy by which a URL is fetched; empty for none."""
    parts = urllib.parse.urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme, "")
    return "" if urllib.request.proxy_bypass(parts.netloc) else proxy


_CONDITIONAL = (("If-None-Match", "etag"), ("If-Modified-Since", "modified"))


def check(url: str) -> None:
    """Raise UsageError unless this is an http(s) URL, with a checksum at most behind it."""
    _split(url)


def _split(url: str) -> tuple[str, str]:
    plain, _, fragment = url.partition("#")
    shown = f"'{url[:200]}'"
    if not plain.isascii() or not plain.isprintable() or " " in plain:
        raise UsageError(f"{shown} has characters that need to be percent-encoded")
    try:
        parts = urllib.parse.urlsplit(plain)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"{shown} is not a URL: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise UsageError(f"{shown} is not an http or https URL")
    if "@" in parts.netloc:  # urllib would take it for the host's name; and it would stand in logs and records
        hint = "fetch it by other means, and name the file"
        raise UsageError("a URL with a user or a password in it is not fetched", hint=hint)
    if not all(0 < len(label) < 64 for label in parts.hostname.rstrip(".").split(".")):
        raise UsageError(f"{shown} names no host")
    if not fragment:
        return plain, ""
    key, _, sha256 = fragment.partition("=")
    if key != "sha256" or len(sha256) != 64 or not set(sha256.lower()) <= set("0123456789abcdef"):
        raise UsageError(f"'#{fragment[:100]}' is not a checksum", hint="write #sha256= and 64 hexadecimal digits")
    return plain, sha256.lower()


def _way(url: str) -> str:
    """Return ` by the proxy HOST:PORT` if a URL is fetched by one: without the user and the password."""
    proxy = proxy_of(url)
    return proxy and f" by the proxy {proxy.rpartition('@')[2].removeprefix('http://').rstrip('/')[:200]}"


def _sha256(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
