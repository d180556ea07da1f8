"""Source OCI: an image from a registry, a layout or an archive, by skopeo and umoci.

Mirrors, insecure registries and credentials are the user's own: containers-registries.conf(5), containers-auth.json(5).
What a broken-off download has brought stays, so that the next one goes on after it.
"""

import hashlib
import json
import os
import re
from typing import Any

from postroj import process
from postroj.errors import ImageError, ToolError
from postroj.events import Phase, emit
from postroj.image import downloads
from postroj.image.progress import report_size
from postroj.image.source import Source, host_architecture, is_digest

_SECONDS = 120.0
_TRIES = 2
_REGISTRY = "docker://"


def find(source: Source, subject: str) -> str:
    """The digest of what it names now. Raises MissingToolError, ImageError."""
    process.require("skopeo", "umoci")
    if source.digest and source.location.startswith(_REGISTRY):
        return source.digest
    emit(Phase(subject, "download", f"resolving {source.location}"))
    with downloads.place(f"inspect {source.location}") as place:
        inspect = [*_skopeo(source, place.path), "inspect", "--raw", "--no-tags", source.location]
        try:
            raw = process.run(inspect, timeout=_SECONDS)
        except ToolError as error:
            raise _explained(source, error) from error
    _check_platforms(source, raw)
    return f"sha256:{hashlib.sha256(raw.encode()).hexdigest()}"


def fetch(source: Source, digest: str, tree: str, subject: str) -> str:
    """Make the tree's `root`; returns the digest. Raises ToolError, ImageError."""
    with downloads.place(f"{source.location}@{digest}") as place:
        layout = os.path.join(place.path, "layout")
        emit(Phase(subject, "download", f"downloading {source.location}"))
        try:
            _copy(source, digest, layout, tree, subject)
        except ImageError:
            if not os.path.isdir(os.path.join(layout, "blobs")):
                place.discard()
            raise
        # It is whole: if it cannot be unpacked now, neither can it be by the next pull.
        try:
            _unpack(source, layout, tree, subject)
        except ImageError:
            place.discard()
            raise
        place.discard()
    return digest


def _unpack(source: Source, layout: str, tree: str, subject: str) -> None:
    manifest = _manifest(layout)
    _check_architecture(source, layout, manifest)
    emit(Phase(subject, "unpack", "unpacking layers"))
    # The raw form makes no manifest of its own, for which it would read all files once more.
    unpack = ["umoci", "raw", "unpack", "--image", f"{layout}:image", os.path.join(tree, "root")]
    try:
        process.follow(unpack, subject=subject, env=process.environment(TMPDIR=tree))
    except ToolError as error:
        raise ImageError("umoci cannot unpack its layers", why=error.why) from error


def _copy(source: Source, digest: str, layout: str, tree: str, subject: str) -> None:
    downloads.sweep_unfinished(layout)
    reference = source.location
    if reference.startswith(_REGISTRY):  # what was found, whatever the tag comes to mean meanwhile
        reference = f"{_without_tag(reference)}@{digest}"
    copy = [*_skopeo(source, tree), "copy", f"--retry-times={_TRIES}", reference, f"oci:{layout}:image"]
    with report_size(layout, subject):
        try:
            process.follow(copy, subject=subject)
        except ToolError as error:
            raise _explained(source, error) from error


def _skopeo(source: Source, temporary: str) -> list[str]:
    """Its options; what it unpacks on the way goes to a directory that is swept up, whatever happens."""
    architecture, _, variant = (source.platform or host_architecture()).partition("/")
    return [
        *("skopeo", f"--tmpdir={temporary}", "--override-os=linux", f"--override-arch={architecture}"),
        *([f"--override-variant={variant}"] if variant else []),
    ]


def _without_tag(reference: str) -> str:
    """A colon after the last slash begins a tag: one before it, a port."""
    head, slash, tail = reference.rpartition("/")
    return head + slash + tail.partition(":")[0]


def _check_platforms(source: Source, raw: str) -> None:
    """Raise ImageError where it is an index that has none for the platform: before anything is downloaded."""
    entries = _table(raw).get("manifests")
    if not isinstance(entries, list):
        return
    platforms: list[Any] = [entry.get("platform") for entry in entries if isinstance(entry, dict)]
    if not all(isinstance(platform, dict) for platform in platforms):  # one without is for any
        return
    there = {str(platform.get("architecture")) for platform in platforms if platform.get("os", "linux") == "linux"}
    wanted = (source.platform or host_architecture()).partition("/")[0]
    if there and wanted not in there:
        raise _wrong_architecture(source, ", ".join(sorted(there - {"unknown"})), wanted)


def _check_architecture(source: Source, layout: str, manifest: dict[str, Any]) -> None:
    config = _table(_blob(layout, manifest.get("config", {})))
    found, wanted = str(config.get("architecture")), (source.platform or host_architecture()).partition("/")[0]
    if found not in (wanted, "None"):
        raise _wrong_architecture(source, found, wanted)


def _wrong_architecture(source: Source, found: str, wanted: str) -> ImageError:
    return ImageError(
        f"{source.location} is for {found[:200]}, not for {wanted}",
        hint="choose an available one with --platform",
    )


def _manifest(layout: str) -> dict[str, Any]:
    with open(os.path.join(layout, "index.json")) as file:
        index = _table(file.read())
    entries = index.get("manifests")
    if not isinstance(entries, list) or not entries:
        raise ImageError("what skopeo brought has no manifest")
    return _table(_blob(layout, entries[-1]))


def _blob(layout: str, descriptor: Any) -> str:
    digest = descriptor.get("digest") if isinstance(descriptor, dict) else None
    if not isinstance(digest, str) or not is_digest(digest):
        raise ImageError("what skopeo brought has no digest")
    with open(os.path.join(layout, "blobs", *digest.split(":")), errors="replace") as file:
        return file.read()


def _table(text: str) -> dict[str, Any]:
    try:
        table = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ImageError("its manifest is not JSON", why=str(error)) from error
    return table if isinstance(table, dict) else {}


_LOGIN = "log in as root with `skopeo login`, `podman login` or `docker login`, or check the name"
_AGAIN = "run again to resume"
_BUSY = "wait a while, log in, or use a mirror (containers-registries.conf(5))"
_INSECURE = "see `insecure` in containers-registries.conf(5)"
_STATUS = r"status(?: ?code)?(?: from registry)?:? "
# What skopeo says, what that means, and what to do; the first that fits.
_MEANINGS = (
    ("proxyconnect", "its registry cannot be reached by the proxy", "check http_proxy, https_proxy and no_proxy"),
    ("connection refused", "connection refused by its registry", "try again later, or check the name"),
    ("no such host|Temporary failure in name", "host name of its registry not found", "check the name and the network"),
    ("network is unreachable|no route to host", "no network route to its registry", "check the network"),
    (rf"unauthorized|authentication required|{_STATUS}40[13]\b|denied", "its registry requires authentication", _LOGIN),
    (rf"toomanyrequests|{_STATUS}429\b|too many requests", "rate limit of its registry reached (429)", _BUSY),
    (rf"manifest unknown|name unknown|{_STATUS}404\b", "not found in its registry", "check name, tag and digest"),
    (rf"{_STATUS}5\d\d\b|internal server error", "server error of its registry (5xx)", "try again later"),
    ("HTTP response to HTTPS|first record does not look like", "its registry does not offer TLS", _INSECURE),
    ("x509|certificate|tls:", "certificate of its registry not trusted", "see containers-certs.d(5)"),
    ("did not match|does not match|digest mismatch", "digest mismatch", ""),
    ("no image found in", "its registry has no image for this platform", "choose an available one with --platform"),
    ("invalid reference format", "invalid image reference", "check the name"),
    (
        r"\bEOF\b|connection reset|broken pipe|timeout|deadline exceeded",
        "its registry closed the connection",
        _AGAIN,
    ),
    ("no descriptor found for reference", "tag not found in it", "check the tag"),
    (r"index\.json: no such file|invalid tar header", "there is no image of this form", "check the path"),
    ("no such file or directory", "there is no such file", "check the path"),
)


def _explained(source: Source, error: ToolError) -> ImageError:
    messages = re.findall(r'msg="((?:[^"\\]|\\.)*)"', error.why) or error.why.splitlines()[-1:]
    text = "\n".join(message.replace('\\"', '"') for message in messages)
    # An image may be called like an error.
    name = re.escape(_without_tag(re.sub("^[a-z-]+:(//)?", "", source.location)))
    said = re.sub(rf"(?<![\w.-]){name}(?![\w-])", "", text)
    for pattern, meaning, hint in _MEANINGS:
        if "its registry" in meaning and not source.is_remote:
            continue
        if re.search(pattern, said, re.IGNORECASE):
            return ImageError(f"{source.location}: {meaning}", why=text, hint=hint)
    what = error.what if source.is_remote else "it is damaged, or not an image of this form"
    return ImageError(f"{source.location}: {what}", why=text)
