"""What a name or a reference stands for, and when it is brought anew."""

import threading
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from postroj import events, settings
from postroj import image as images
from postroj.errors import ImageError, MissingToolError, PostrojError, ToolError, UsageError
from postroj.image import catalogue, provide, provision, store
from postroj.image.names import is_name
from postroj.image.source import BOOTSTRAP, OCI, TARBALL, Source, parse
from postroj.image.store import Image

from .trees import being_made, fill, pulled, tree_of

NAME = "debian-bookworm"
DIGEST, OTHER = "sha256:" + "1" * 64, "sha256:" + "2" * 64


# what is wanted


@pytest.mark.parametrize("text", [NAME, "debian-12"])
def test_a_name_and_an_alias(text: str) -> None:
    want = images.resolve(text)
    assert (want.name, want.stamp) == (NAME, "")
    assert want.sources == catalogue.resolve(NAME).sources


@pytest.mark.parametrize("text", [NAME, "debian-12"])
def test_a_digest_leaves_the_sources_that_have_digests(text: str) -> None:
    want = images.resolve(f"{text}@{DIGEST}")
    assert want.name == NAME
    assert want.sources == (Source(OCI, "docker://docker.io/library/debian:bookworm", digest=DIGEST),)


@pytest.mark.parametrize(
    "digest", ["", "latest", DIGEST[7:], DIGEST[:-1], DIGEST + "\n", "sha512:1", f"{DIGEST}@{DIGEST}"]
)
def test_what_is_no_digest(digest: str) -> None:
    with pytest.raises(UsageError, match="is not a digest") as caught:
        images.resolve(f"{NAME}@{digest}")
    assert "64 hexadecimal digits" in caught.value.hint


def test_what_is_only_bootstrapped_has_no_digest(places: Path) -> None:
    table = places / "config/postroj/images.toml"
    table.parent.mkdir(parents=True)
    table.write_text('[[image]]\nname = "own"\nfamily = "apt"\nsources = ["bootstrap:sid"]\n')
    assert images.resolve("own").sources[0].kind == BOOTSTRAP
    with pytest.raises(UsageError, match="own is built from") as caught:
        images.resolve(f"own@{DIGEST}")
    assert "postroj image export" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "readable"),
    [
        ("docker://h/a/alpine:3.20", "alpine-3.20"), ("docker://x", "x"), ("https://h/Root_FS.tar.xz?a=b", "root-fs"),
        ("https://h/x.tgz#sha256=" + "0" * 64, "x"), ("/a/b c", "b-c"), ("/a/é", "image"),
        ("bootstrap:sid", "bootstrap-sid"),
        ("/" + "x" * 200, "x" * 30), ("/--help", "help"), ("/...", "image"), ("/a\n.tar", "a"),
    ],
)  # fmt: skip
def test_a_reference_gets_a_name_of_its_own(text: str, readable: str) -> None:
    name = images.resolve(text).name
    assert is_name(name) and name[:-9] == readable
    assert images.resolve(text).name == name
    assert images.resolve(text).sources == (parse(text),)


def test_references_that_end_the_same_are_not_the_same() -> None:
    texts = ["docker://a/x:1", "docker://b/x:1", "docker://b/x:2", "/a/x", "/b/x", "oci:/b/x", "https://b/x"]
    assert len({images.resolve(text).name for text in texts}) == len(texts)
    assert images.resolve(f"docker://a/x:1@{DIGEST}").name == images.resolve("docker://a/x:1").name


def test_a_platform_is_for_images_from_registries() -> None:
    assert {one.platform for one in images.resolve("debian-buster", platform="linux/arm64").sources} == {"arm64"}
    assert {one.kind for one in images.resolve(NAME, platform="arm64").sources} == {OCI}
    (one,) = images.resolve(f"docker://x@{DIGEST}", platform="arm/v7").sources
    assert (one.platform, one.digest) == ("arm/v7", DIGEST)
    for text in ("bootstrap:sid", "/nowhere/x.tar", "https://h/x.tar"):
        with pytest.raises(UsageError, match="--platform is for images from registries"):
            images.resolve(text, platform="arm64")
    with pytest.raises(UsageError, match="is not a platform"):
        images.resolve(NAME, platform="../x")


def test_only_sources_of_one_kind_count() -> None:
    assert [str(one) for one in images.resolve(NAME, kind=BOOTSTRAP).sources] == ["bootstrap:bookworm"]
    assert [str(one) for one in images.resolve(NAME, kind=OCI).sources] == [
        "docker://docker.io/library/debian:bookworm"
    ]
    for ask, kind in ((NAME, TARBALL), ("debian-buster", BOOTSTRAP), (f"{NAME}@{DIGEST}", BOOTSTRAP)):
        with pytest.raises(UsageError, match=f"has no source of the kind {kind}"):
            images.resolve(ask, kind=kind)
    with pytest.raises(UsageError, match="--platform is for images from registries"):
        images.resolve(NAME, kind=BOOTSTRAP, platform="arm64")


def test_an_image_from_a_source_of_another_kind_is_not_what_is_wanted() -> None:
    pulled(NAME, reference="bootstrap:bookworm")
    assert images.pull(NAME, kind=BOOTSTRAP, offline=True)[1] is False
    with pytest.raises(ImageError, match="--offline"):
        images.pull(NAME, kind=OCI, offline=True)


def test_an_imported_image_is_wanted_from_where_it_came() -> None:
    pulled("mine", reference="/nowhere/x.tar")
    want = images.resolve("mine")
    assert (want.name, want.sources, want.stamp) == ("mine", (Source(TARBALL, "/nowhere/x.tar"),), "missing")
    assert images.resolve(f"mine@{DIGEST}").sources[0].digest == DIGEST


def test_a_name_of_the_catalogue_is_wanted_from_there_whatever_is_here() -> None:
    pulled(NAME, reference="/nowhere/x.tar")
    assert images.resolve(NAME).sources == catalogue.resolve(NAME).sources


def test_a_damaged_import_says_so() -> None:
    Path(pulled("mine"), "record").unlink()
    with pytest.raises(ImageError, match="the image mine is damaged"):
        images.resolve("mine")
    images.check_name("mine")


@pytest.mark.parametrize(
    "text", ["", "-", "--help", "plan9", "a/b", "docker:x", "DEBIAN-12", "\n", "@", f"@{DIGEST}", "é"]
)
def test_what_stands_for_nothing(text: str) -> None:
    for ask in (images.resolve, images.check_name):
        with pytest.raises(UsageError):
            ask(text)


# when it is brought


@pytest.mark.parametrize("text", [NAME, "debian-12"])
def test_an_image_that_is_here_and_sound_is_left_as_it_is(text: str) -> None:
    tree = pulled(NAME)
    image, fetched = images.pull(text, offline=True)
    assert (image.root, fetched) == (f"{tree}/root", False)
    with images.open_image(text, offline=True) as used:
        assert used == image


def test_a_digest_that_is_here_is_left_as_it_is() -> None:
    pulled(NAME, digest=DIGEST)
    assert images.pull(f"{NAME}@{DIGEST}", offline=True)[1] is False
    with pytest.raises(ImageError, match="--offline forbids"):
        images.pull(f"{NAME}@{OTHER}", offline=True)


def test_what_is_out_of_reach_is_said_and_leaves_the_image() -> None:
    tree = pulled(NAME)
    with pytest.raises(ImageError, match=f"^{NAME} cannot be pulled: .*--offline") as caught:
        images.pull(NAME, update=True, offline=True)
    assert "bootstrap:bookworm is not downloaded" in caught.value.what
    assert "docker://docker.io/library/debian:bookworm is not downloaded" in caught.value.why
    assert tree_of(NAME) == tree


def test_a_damaged_image_is_brought_anew() -> None:
    Path(pulled(NAME), "record").unlink()
    told: list[events.Event] = []
    with events.subscribed(told.append), pytest.raises(ImageError, match="--offline"):
        images.pull(NAME, offline=True)
    assert any(isinstance(event, events.Step) and "is damaged" in event.text for event in told)


@pytest.mark.parametrize(
    ("systemd", "told"), [("", "has no systemd"), ("219", "has systemd 219"), ("238", "has systemd 238")]
)
def test_an_image_that_cannot_boot(systemd: str, told: str) -> None:
    pulled(NAME, systemd=systemd)
    with store.open_existing(NAME) as image, pytest.raises(ImageError, match=f"{NAME} {told}") as caught:
        images.check_boots(image)
    assert "--no-boot" in caught.value.hint


@pytest.mark.parametrize("systemd", ["239", "257"])
def test_an_image_that_can_boot(systemd: str) -> None:
    pulled(NAME, systemd=systemd)
    with store.open_existing(NAME) as image:
        images.check_boots(image)


# by a lock file


def test_a_locked_image_that_is_here() -> None:
    pulled(NAME, digest=DIGEST)
    assert images.pull_locked(NAME, "docker://x", DIGEST, "", offline=True)[1] is False


def test_a_locked_image_that_is_here_by_another_name() -> None:
    tree = pulled("other", digest=DIGEST)
    image, fetched = images.pull_locked(NAME, "docker://x", DIGEST, "", offline=True)
    assert (image.name, image.root, image.reference, fetched) == (NAME, f"{tree}/root", "docker://x", True)


def test_a_locked_image_that_cannot_be_had_any_more() -> None:
    old = pulled(NAME)
    with pytest.raises(ImageError, match="cannot be rebuilt") as caught:
        images.pull_locked(NAME, "bootstrap:bookworm", DIGEST, "")
    assert "postroj image export" in caught.value.hint
    with pytest.raises(ImageError, match="--offline"):
        images.pull_locked(NAME, "docker://x", DIGEST, "", offline=True)
    assert tree_of(NAME) == old


# from its sources


def meanwhile(monkeypatch: pytest.MonkeyPatch, theirs: dict[str, str], source: Source) -> tuple[Image, list[Source]]:
    """Ask for a source while somebody else brings the same name; gives the image, and what we brought ourselves."""
    brought: list[Source] = []
    found: list[Image] = []
    waits = threading.Event()

    def bring(name: str, sources: Sequence[Source], offline: bool, verb: str) -> None:
        brought.extend(sources)
        pulled(name, reference=str(sources[0]), digest=sources[0].digest)

    def listen(event: events.Event) -> None:
        if isinstance(event, events.Step) and "waiting" in event.text:
            waits.set()

    monkeypatch.setattr(provide, "_from_any", bring)
    thread = threading.Thread(target=lambda: found.append(provide.pull_from_sources(NAME, [source])))
    with events.subscribed(listen), store.pulling(NAME):
        thread.start()
        assert waits.wait(10)
        pulled(NAME, **theirs)
    thread.join(10)
    return found[0], brought


@pytest.mark.parametrize("digest", ["", DIGEST])
def test_what_somebody_else_brings_meanwhile_is_ours_as_well(monkeypatch: pytest.MonkeyPatch, digest: str) -> None:
    source = parse("docker://x")._replace(digest=digest)
    image, brought = meanwhile(monkeypatch, {"reference": "docker://x", "digest": DIGEST}, source)
    assert image.digest == DIGEST and brought == []


@pytest.mark.parametrize(
    ("theirs", "source"),
    [
        ({"reference": "docker://x", "digest": OTHER}, parse(f"docker://x@{DIGEST}")),
        ({"reference": "/nowhere/x.tar"}, parse("docker://x")),
        ({"reference": "docker://x"}, parse("docker://x")._replace(platform="arm64")),
        ({"reference": "/nowhere/x.tar", "stamp": "before"}, parse("/nowhere/x.tar")),
    ],
)
def test_what_somebody_else_brings_meanwhile_may_be_another(
    monkeypatch: pytest.MonkeyPatch, theirs: dict[str, str], source: Source
) -> None:
    image, brought = meanwhile(monkeypatch, theirs, source)
    assert brought == [source] and image.reference == str(source)


def test_a_file_that_changes_while_it_is_read_is_no_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "x.tar"
    file.write_text("one")

    def fetch(source: Source, digest: str, tree: str, subject: str) -> str:
        fill(tree)
        file.write_text("another")
        return digest

    kind = SimpleNamespace(find=lambda source, subject: DIGEST, fetch=fetch)
    monkeypatch.setitem(provide._MODULES, TARBALL, kind)
    with pytest.raises(ImageError, match="has changed while it was read"):
        provide.pull_from_sources(NAME, [parse(str(file))])
    assert store.list_names() == []


def test_what_lacks_systemd_is_not_installed_offline(tmp_path: Path) -> None:
    with being_made(NAME) as tree:
        root = Path(tree, "root")
        provision.check_offline(str(root))  # without a package manager nothing is ever installed
        (root / "usr/bin/apt-get").touch()
        with pytest.raises(ImageError, match="--offline forbids"):
            provision.check_offline(str(root))
        for needed in ("usr/lib/systemd/system/dbus.socket", "usr/bin/mount"):
            (root / needed).parent.mkdir(parents=True, exist_ok=True)
            (root / needed).touch()
        provision.check_offline(str(root))


@pytest.mark.parametrize(
    ("problem", "what"),
    [
        (OSError(28, "No space left on device", "/x"), "the disk is full"),
        (ToolError("umoci failed", why="write /x/y: no space left on device"), "the disk is full"),
        (ToolError("tar failed", why="tar: x: Cannot write: No space left on device"), "the disk is full"),
        (OSError(5, "Input/output error", "/x"), "Input/output error: /x"),
        (ToolError("tar failed", why="other"), "tar failed"),
        (MissingToolError("skopeo is missing on this host"), "skopeo is missing on this host"),
    ],
)
def test_what_went_wrong_is_explained(problem: PostrojError | OSError, what: str) -> None:
    Path(settings.images_dir()).mkdir(parents=True)
    assert provide.explained(problem).what == what
    assert provide._is_full(problem) == (what == "the disk is full")


def test_a_digest_that_is_not_the_one_that_is_wanted_is_an_error() -> None:
    with pytest.raises(ImageError, match="digest mismatch") as caught:
        provide._is_here(NAME, parse("docker://x")._replace(digest=DIGEST), OTHER, {})
    assert DIGEST in caught.value.why and OTHER in caught.value.why
    assert provide._is_here(NAME, parse("docker://x"), "", {}) is False
