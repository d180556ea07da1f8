"""The directories and links that a Debian package ships."""

from postroj.harness.life.directories import parse

_CONTENTS = """drwxr-xr-x root/root         0 2026-01-02 03:04 ./
drwxr-xr-x root/root         0 2026-01-02 03:04 ./usr/share/web -> x/
lrwxrwxrwx root/root         0 2026-01-02 03:04 ./usr/share/doc/web -> ../web doc
drwxr-sr-x root/games        0 2026-01-02 03:04 ./var/games/
lrwxrwxrwx 0/0               0 2026-01-02 03:04 ./etc/a -> /b
l
"""


def test_the_list_of_an_archive() -> None:
    found = parse(_CONTENTS)
    assert found.links == {"/usr/share/doc/web": "../web doc", "/etc/a": "/b"}
    assert "/var/games" in found.directories and not found.directories.intersection(found.links)
    assert parse("tar: no such file\n" + "d" * 10**6).directories == frozenset()
