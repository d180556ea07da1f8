"""Whether package lists are up to date: what is asked, and what is not, whatever an image and its servers say."""

import hashlib
import http.server
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from postroj.cache import fresh
from postroj.cache.seal import Seal
from postroj.deadline import Deadline
from postroj.family.apt.cache import kept, valid_until

KEPT = kept(["apt-get", "update"])
CONTENT = b"Suite: stable\n"
_NEW = f'<hash type="md5">1</hash><hash type="sha256">{hashlib.sha256(CONTENT).hexdigest()}</hash>'
_OLD = f'<hash type="sha256">{"0" * 64}</hash>'
METALINKS = {
    "/new": f"<verification>{_NEW}</verification><alternates>{_OLD}</alternates>".encode(),
    "/old": f"<verification>{_OLD}</verification><alternates>{_NEW}</alternates>".encode(),
    "/late": (" " * (2 << 20) + _NEW).encode(),
    "/none": b"<hash type='sha1'>1</hash>",
}
Ask = Callable[..., bool]


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        content = METALINKS.get(self.path, CONTENT)
        self.send_response(302 if self.path == "/moved" else 200)
        self.send_header("Location", "/InRelease")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None: ...


class Server(NamedTuple):
    """A server of this host."""

    url: str
    asked: list[str]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as running:
        asked: list[str] = []
        running.asked = asked  # type: ignore[attr-defined]
        threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield Server(f"http://127.0.0.1:{running.server_port}", asked)
        running.shutdown()


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ask:
    monkeypatch.setattr(fresh, "_SECONDS", 60.0)  # this host may be busy

    def ask(url: str, *, anywhere: bool = True, content: bytes = CONTENT) -> bool:
        (tmp_path / "InRelease").write_bytes(content)
        seal = Seal(time.time() - 3600, {}, {url: "InRelease"}, {})  # as if the image had it
        return fresh.ask("/", seal, KEPT, image=str(tmp_path), deadline=Deadline(60), anywhere=anywhere)()

    return ask


def test_what_has_not_changed(server: Server, ask: Ask) -> None:
    assert ask(f"{server.url}/InRelease")
    assert not ask(f"{server.url}/InRelease", content=b"Suite: old\n")
    assert ask(f"{server.url}/moved")
    assert server.asked == ["/InRelease", "/InRelease", "/moved", "/InRelease"]


def test_what_only_this_host_reaches_is_not_asked(server: Server, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither by the image's choice, nor by that of a server that redirects to it."""
    assert not ask(f"{server.url}/InRelease", anywhere=False)
    assert server.asked == []
    monkeypatch.setattr(fresh, "_is_local", lambda url: url.endswith("/InRelease"))
    assert not ask(f"{server.url}/moved", anywhere=False)
    assert server.asked == ["/moved"]


def test_a_metalink_names_the_newest_one_first(server: Server, ask: Ask) -> None:
    assert ask(f"metalink+{server.url}/new")
    for path in ("old", "late", "none", "InRelease"):
        assert not ask(f"metalink+{server.url}/{path}")
    assert not ask(f"metalink+{server.url}/new", anywhere=False)


def test_what_the_image_has_itself_does_not_change(server: Server, ask: Ask) -> None:
    assert ask("file:///srv/repodata/repomd.xml")
    assert server.asked == []


def test_what_nothing_is_known_of_is_out_of_date(ask: Ask) -> None:
    assert not ask("unknown:standin")


@pytest.mark.parametrize(
    "url",
    [
        "http://ex\xe4mple/x",
        "http://[::1/x",
        "http://h:99999/x",
        "http://user:secret@h/x",
        "http://\u2028/",
        "http:/x",
        "",
    ],
)
def test_what_is_no_url_is_out_of_date(url: str, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """There are some that apt takes and we do not, such as those with a password."""
    failed: list[object] = []
    monkeypatch.setattr(threading, "excepthook", failed.append)
    assert not ask(url)
    assert not failed


@pytest.mark.parametrize(
    ("date", "until"),
    [
        ("Thu, 01 Jan 1970 00:01:00 UTC", 60.0), ("soon", 0.0), ("Fri, 31 Dec 9999 23:59:59 -9900", 0.0),
        (f"Thu, 01 Jan {'9' * 30} 00:00:00 +0000", 0.0),
    ],
)  # fmt: skip
def test_until_when_lists_are_valid(date: str, until: float) -> None:
    assert valid_until(f"Suite: x\nValid-Until: {date}\n") == until
