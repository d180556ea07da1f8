"""What skopeo says, in the words of skopeo 1.9 to 1.18, and what it brings: what is told of either."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from postroj.errors import ImageError, ToolError
from postroj.image import oci
from postroj.image.source import parse

_HEAD = 'time="2026-01-02T03:04:05Z" level=fatal msg="'
_NAMED = r"Error parsing image name \"docker://h.example/x:1\": "
_READING = f"{_HEAD}{_NAMED}reading manifest 1 in h.example/x: "
_PINGING = rf"{_HEAD}{_NAMED}pinging container registry h.example: Get \"https://h.example/v2/\": "
_COPYING = f"{_HEAD}copying system image from manifest list: writing blob: "


@pytest.mark.parametrize(
    ("said", "meaning"),
    [
        (_PINGING + 'dial tcp 192.0.2.1:443: connect: connection refused"', "connection refused by"),
        (_PINGING + 'proxyconnect tcp: dial tcp 127.0.0.1:9: connect: connection refused"', "reached by the proxy"),
        (_PINGING + 'dial tcp: lookup h.example on 192.0.2.53:53: no such host"', "host name of its"),
        (_PINGING + 'dial tcp: lookup h.example: Temporary failure in name resolution"', "host name of its"),
        (_PINGING + 'dial tcp 192.0.2.1:443: connect: network is unreachable"', "no network route"),
        (_PINGING + 'dial tcp 192.0.2.1:443: connect: no route to host"', "no network route"),
        (_PINGING + 'x509: certificate signed by unknown authority"', "not trusted"),
        (_PINGING + 'tls: failed to verify certificate: x509: certificate has expired"', "not trusted"),
        (_PINGING + 'http: server gave HTTP response to HTTPS client"', "does not offer TLS"),
        (_PINGING + 'tls: first record does not look like a TLS handshake"', "does not offer TLS"),
        (_PINGING + 'net/http: TLS handshake timeout"', "closed the connection"),
        (_READING + 'unauthorized: authentication required"', "authentication"),
        (_READING + 'denied: denied"', "authentication"),
        (
            _READING + 'errors:\\ndenied: requested access to the resource is denied\\nunauthorized: x"',
            "authentication",
        ),
        (_READING + 'StatusCode: 403, garbage"', "authentication"),
        (
            f'{_HEAD}{_NAMED}Requesting bearer token: invalid status code from registry 403 (Forbidden)"',
            "authentication",
        ),
        (_READING + 'received unexpected HTTP status: 401 Unauthorized"', "authentication"),
        (_READING + 'toomanyrequests: You have reached your unauthenticated pull rate limit."', "rate limit"),
        (_READING + 'too many requests to registry"', "rate limit"),
        (_READING + 'StatusCode: 429, slow down"', "rate limit"),
        (_READING + 'manifest unknown"', "not found in its registry"),
        (_READING + 'name unknown: name unknown"', "not found in its registry"),
        (_READING + 'StatusCode: 404, garbage"', "not found in its registry"),
        (_READING + 'received unexpected HTTP status: 500 Internal Server Error"', "server error"),
        (_READING + 'received unexpected HTTP status: 502 Bad Gateway"', "server error"),
        (_READING + 'EOF"', "closed the connection"),
        (
            _COPYING + 'storing blob to file \\"/var/tmp/x/1\\": happened during read: unexpected EOF"',
            "closed the connec",
        ),
        (
            _COPYING + 'happened during read: read tcp 192.0.2.1:443: read: connection reset by peer"',
            "closed the connec",
        ),
        (_COPYING + 'Digest did not match, expected sha256:00, got sha256:11"', "digest mismatch"),
        (
            f"{_HEAD}choosing an image from manifest list docker://h.example/x:1: no image found in manifest list for "
            'architecture s390x, variant \\"\\", OS linux"',
            "no image for this platform",
        ),
        (f'{_HEAD}Error parsing image name \\"docker:///x\\": invalid reference format"', "invalid image reference"),
        (f'{_HEAD}Error parsing image name \\"oci:/x\\": lstat /x: no such file or directory"', "no such file"),
        (f'{_HEAD}Error parsing image name: open /x/index.json: no such file or directory"', "no image of this form"),
        (f'{_HEAD}loading tar component manifest.json: archive/tar: invalid tar header"', "no image of this form"),
        (f'{_HEAD}Error parsing image name: no descriptor found for reference \\"it\\""', "tag not found"),
    ],
)
def test_what_skopeo_says_is_explained(said: str, meaning: str) -> None:
    error = oci._explained(parse("docker://h.example/x:1"), ToolError("skopeo failed with status 1", why=said))
    assert error.what.startswith("docker://h.example/x:1: ") and meaning in error.what
    assert error.why and "level=" not in error.why and '\\"' not in error.why


@pytest.mark.parametrize("name", ["geoffrey", "x509", "timeout/EOF", "denied", "certificate", "unauthorized"])
def test_an_image_that_is_called_like_an_error(name: str) -> None:
    said = f'{_HEAD}reading manifest 1 in h.example/{name}: something else"'
    error = oci._explained(parse(f"docker://h.example/{name}:1"), ToolError("skopeo failed with status 1", why=said))
    assert error.what == f"docker://h.example/{name}:1: skopeo failed with status 1"
    assert "something else" in error.why


@pytest.mark.parametrize("name", ["x", "o", "e/o", "n:o"])
def test_a_short_name_is_taken_for_nothing_else(name: str) -> None:
    error = oci._explained(parse(f"docker://{name}"), ToolError("x", why=f'{_PINGING}x509: unknown authority"'))
    assert "not trusted" in error.what


def test_what_came_before_the_last_line_counts_too() -> None:
    said = f'time="x" level=warning msg="Failed, retrying in 1s ... (1/2). Error: EOF"\n{_HEAD}gave up"'
    assert "closed the connection" in oci._explained(parse("docker://h/x"), ToolError("x", why=said)).what


@pytest.mark.parametrize(
    ("why", "shown"), [("", ""), ("one\ntwo", "two"), ('msg="', 'msg="'), ('msg="a\\', 'msg="a\\')]
)
def test_what_is_not_understood_is_shown(why: str, shown: str) -> None:
    error = oci._explained(parse("docker://h/x"), ToolError("skopeo was killed by signal 9", why=why))
    assert (error.what, error.why) == ("docker://h/x: skopeo was killed by signal 9", shown)


def index(*architectures: str | None) -> str:
    return json.dumps({"manifests": [{"platform": {"architecture": one, "os": "linux"}} for one in architectures]})


@pytest.mark.parametrize(
    "raw",
    [
        "{}", "[]", "1", '{"manifests": null}', '{"manifests": []}', '{"manifests": [1]}', '{"manifests": [{}]}',
        '{"manifests": [{"platform": null}]}', '{"manifests": [{"platform": "x"}]}', index("amd64", "arm64"),
        index("amd64", "unknown"), '{"config": {}, "layers": []}',
    ],
)  # fmt: skip
def test_a_manifest_that_may_fit(raw: str) -> None:
    oci._check_platforms(parse("docker://x")._replace(platform="amd64"), raw)


def test_an_index_without_the_platform() -> None:
    raw = index("arm64", "s390x", "unknown")
    with pytest.raises(ImageError, match=r"^docker://x is for arm64, s390x, not for amd64$") as caught:
        oci._check_platforms(parse("docker://x")._replace(platform="amd64"), raw)
    assert "--platform" in caught.value.hint
    oci._check_platforms(parse("docker://x")._replace(platform="arm64/v8"), raw)


def test_an_image_of_another_system_does_not_count() -> None:
    raw = index("amd64", "arm64").replace("linux", "windows", 1)
    with pytest.raises(ImageError, match="is for arm64, not for amd64"):
        oci._check_platforms(parse("docker://x")._replace(platform="amd64"), raw)


@pytest.mark.parametrize("raw", ["", "<html>", "{", "[" * 100_000], ids=lambda raw: raw[:6])
def test_what_is_no_manifest(raw: str) -> None:
    with pytest.raises(ImageError, match="not JSON"):
        oci._check_platforms(parse("docker://x"), raw)


# what skopeo brings


def layout(tmp_path: Path, *, config: Any = None, manifests: Any = None, **manifest: Any) -> str:
    blobs = tmp_path / "blobs/sha256"
    blobs.mkdir(parents=True)

    def blob(value: Any) -> dict[str, str]:
        data = json.dumps(value).encode()
        name = hashlib.sha256(data).hexdigest()
        (blobs / name).write_bytes(data)
        return {"digest": f"sha256:{name}"}

    found = blob({"config": blob(config), **manifest})
    (tmp_path / "index.json").write_text(json.dumps({"manifests": [found] if manifests is None else manifests}))
    return str(tmp_path)


@pytest.mark.parametrize("config", [{"architecture": "amd64"}, {}, [], None, {"architecture": None}])
def test_an_image_that_fits_or_does_not_say(tmp_path: Path, config: Any) -> None:
    path = layout(tmp_path, config=config)
    oci._check_architecture(parse("docker://x")._replace(platform="amd64"), path, oci._manifest(path))


def test_an_image_for_another_architecture(tmp_path: Path) -> None:
    path = layout(tmp_path, config={"architecture": "arm64"})
    with pytest.raises(ImageError, match="docker://x is for arm64, not for amd64"):
        oci._check_architecture(parse("docker://x")._replace(platform="amd64"), path, oci._manifest(path))


@pytest.mark.parametrize(
    "manifests",
    [[], {}, "x", [None], [1], [{}], [{"digest": 1}], [{"digest": "sha256:x"}], [{"digest": "../../x:" + "0" * 64}]],
)
def test_a_layout_without_a_manifest(tmp_path: Path, manifests: Any) -> None:
    with pytest.raises(ImageError, match="what skopeo brought has no"):
        oci._manifest(layout(tmp_path, manifests=manifests))


@pytest.mark.parametrize("config", [None, 1, [], {"digest": "sha512:" + "0" * 128}, {"digest": ["x"]}])
def test_a_manifest_without_a_configuration(tmp_path: Path, config: Any) -> None:
    with pytest.raises(ImageError, match="has no digest"):
        oci._check_architecture(parse("docker://x"), layout(tmp_path), {"config": config})
