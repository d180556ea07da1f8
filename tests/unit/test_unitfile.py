"""Unit files, as `systemctl cat` prints them."""

from postroj.probe.unitfile import parse

_TEXT = """# /lib/systemd/system/case.service
[Unit]
; a comment
Description=Case = one

[Service]
ExecStart=/usr/bin/case \\
# between
  --one
LoadCredential=a:/etc/a
LoadCredential=b:/etc/b
StandardOutput = file:/var/log/case.log
ReadWritePaths=/srv/a
ReadWritePaths=

# /etc/systemd/system/case.service.d/more.conf
[Service]
StandardOutput=null
ReadWritePaths=/srv/b /srv/c
[Install]
WantedBy=multi-user.target graphical.target
"""


def test_a_file_with_a_drop_in() -> None:
    file = parse(_TEXT)
    assert file.sections == {"Unit", "Service", "Install"}
    assert file.last("Description") == "Case = one"
    assert file.last("ExecStart") == "/usr/bin/case --one"
    assert file.settings["LoadCredential"] == ("a:/etc/a", "b:/etc/b")
    assert file.last("StandardOutput") == "null"
    assert file.words("ReadWritePaths") == ["/srv/b", "/srv/c"]
    assert file.words("WantedBy", "RequiredBy") == ["multi-user.target", "graphical.target"]
    assert file.last("RootDirectory") == ""


def test_no_file() -> None:
    assert parse("No files found for case.service.") == (frozenset(), {})
    assert parse("") == (frozenset(), {})


def test_a_line_without_end() -> None:
    assert len(parse("[Service]\nUser=" + "x" * 10**6).last("User")) == 200
