"""Which URLs are taken, and what a download leaves in the cache; the rest of it meets real servers elsewhere."""

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from postroj import download
from postroj.deadline import Deadline
from postroj.errors import DownloadError, UsageError

SHA = "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9"  # of CONTENT
CONTENT = b"hello world"


@pytest.mark.parametrize(
    "url",
    [
        "http://h/a.deb", "https://h:8443/a/b.deb?x=1&y", "HTTP://H/A", "http://[::1]:80/a", "http://h",
        "http://h/%C3%A9.deb",
        f"http://h/a#sha256={SHA}", f"http://h/a#sha256={SHA.upper()}", "http://h/a#",
    ],
)  # fmt: skip
def test_urls(url: str) -> None:
    download.check(url)


@pytest.mark.parametrize(
    "url",
    [
        "", "h/a.deb", "//h/a", "ftp://h/a", "file:///a", "http:/h/a", "http://", "http:///a", "http://:80/a",
        "http://h:0/a",
        "http://h:99999/a", "http://h:x/a", "http://[::1/a", "http://h/a b", "http://h/\n", "http://h/é",
        "http://h/\x1b[2J",
        "http://h/a#md5=1", "http://h/a#sha256=", "http://h/a#sha256=zz", f"http://h/a#sha256={SHA}0",
        f"http://h/a#SHA256={SHA}",
        f"http://h/a#sha256={'g' * 64}", "http://h/a#sha256=" + "\uff11" * 64, f"http://h/a#{SHA}",
        "http://h/a#x\x1b[2J", "http://user@h/a", "http://user:secret@h/a",
    ],
)  # fmt: skip
def test_no_urls(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        download.check(url)
    assert len(caught.value.what) < 400 and "secret" not in caught.value.what


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT)

    def log_message(self, format: str, *args: object) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[http.server.ThreadingHTTPServer]:
    monkeypatch.setenv("no_proxy", "*")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as running:
        running.asked = []  # type: ignore[attr-defined]
        threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield running
        running.shutdown()


def fetch(server: http.server.ThreadingHTTPServer, directory: Path, path: str) -> Path:
    url = f"http://127.0.0.1:{server.server_port}/{path}"
    return Path(download.fetch(url, str(directory), deadline=Deadline(20)))


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/hello_1.0_all.deb?x=/y", "hello_1.0_all.deb"), ("", "download"), ("a/", "download"), ("a/..", "download"),
        ("a/%2e%2e%2f%2e%2e%2fetc%2fpasswd", "passwd"), (".part", "part"), (".validators", "validators"),
        ("a%20b.deb", "a_b.deb"),
        ("x" * 500, "x" * 120), ("%E4%BD%A0" * 120 + ".deb", None), ("a%00b.deb", None), ("a%0Ab.deb", None),
        ("%FF.deb", None),
    ],
)  # fmt: skip
def test_the_file_is_called_as_in_the_url_and_stays_in_its_place(
    server: http.server.ThreadingHTTPServer, tmp_path: Path, path: str, name: str | None
) -> None:
    file = fetch(server, tmp_path / "cache", path)
    assert file.read_bytes() == CONTENT
    assert file.parent.parent == tmp_path / "cache"
    assert name in (None, file.name)


def test_a_file_with_a_right_checksum_is_fetched_once(server: http.server.ThreadingHTTPServer, tmp_path: Path) -> None:
    files = {fetch(server, tmp_path, f"a.deb#sha256={SHA}") for _ in range(3)}
    assert len(files) == 1
    assert len(server.asked) == 1  # type: ignore[attr-defined]


def test_a_wrong_checksum_leaves_nothing(server: http.server.ThreadingHTTPServer, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="checksum mismatch"):
        fetch(server, tmp_path, f"a.deb#sha256={'0' * 64}")
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.read_bytes() == CONTENT]


@pytest.mark.parametrize("host", ["a..b", "x" * 64, ".", "a." + "x" * 64 + ".b"])
def test_a_host_that_cannot_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises((UsageError, DownloadError)):
        download.fetch(f"http://{host}/a.deb", str(tmp_path), deadline=Deadline(20))


@pytest.mark.parametrize(("without", "way"), [("", " by the proxy 127.0.0.1:9"), ("192.0.2.1", "")])
def test_the_proxy_that_a_url_is_fetched_by(monkeypatch: pytest.MonkeyPatch, without: str, way: str) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert download._way("http://192.0.2.1/a.deb") == ""
    monkeypatch.setenv("http_proxy", "http://me:secret@127.0.0.1:9/")
    monkeypatch.setenv("no_proxy", without)
    assert download._way("http://192.0.2.1/a.deb") == way
    assert download._way("https://192.0.2.1/a.deb") == ""
