"""The life of packages that carry one fault each, as .deb, .rpm and Arch package: the first line names it."""

import signal
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from signal import Signals
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

import debs
from lives import SCRIPTS, SERVER, live
from moments import deliver, started
from residue import Residue
from scratch import scratch_state
from standins import standin
from support import POSTROJ, Run

pytestmark = pytest.mark.once

KINDS = {"deb": "debian-bookworm", "rpm": "dnf", "archlinux": "pacman"}
"""nfpm's packagers, and an image for each."""


@pytest.fixture(scope="module")
def environments(postroj: Run) -> Iterator[dict[str, dict[str, str]]]:
    """What postroj is run with for each kind of package."""
    with standin("dnf") as dnf, standin("pacman") as pacman, scratch_state() as state:
        env = {"POSTROJ_STATE_DIR": str(state)}
        for tree, name in ((dnf, "dnf"), (pacman, "pacman")):
            done = postroj("image", "import", tree, name, env=env)
            assert done.returncode == 0, done.stderr
        yield {"deb": {}, "rpm": env, "archlinux": env}


class Case(NamedTuple):
    """What is done with two versions, what is changed of them, and what the first line says."""

    phases: Sequence[str]
    told: str
    new: Mapping[str, Any] = MappingProxyType({})
    old: Mapping[str, Any] | None = None
    """None: there is no older version."""
    status: int = 1
    words: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ("deb",)
    rule: str = ""


FAILS = "echo no such user: x >&2; exit 3"
_INSTALL = ("install", "check")
_REMOVE = ("install", "remove")
_PURGE = ("install", "remove", "purge")
_ALL = ("deb", "rpm", "archlinux")


def _deb(word: str, text: str) -> dict[str, Any]:
    """Return what puts lines before a maintainer script of the .deb."""
    return {"scripts": {word: f"{text}\n{SCRIPTS['deb'].get(word, '')}"}}


CASES = {
    # maintainer scripts
    "preinst fails at an upgrade": Case(
        ["upgrade"], "upgrade: package {new}: the preinst of live failed (exit status 3): no such user: x",
        _deb("pre", f'if [ "$1" = upgrade ]; then {FAILS}; fi'), {},
    ),
    "postinst fails at an upgrade": Case(
        ["upgrade"], "upgrade: package {new}: the postinst of live failed (exit status 3): no such user: x",
        _deb("post", f'if [ -n "$2" ]; then {FAILS}; fi'), {},
    ),
    "postinst enables a unit that is masked": Case(
        (*_INSTALL, "reinstall"),
        "(exit status 1): Failed to enable unit: Unit file /etc/systemd/system/live.service is masked",
        _deb("post", "systemctl enable live.service || exit 1"),
    ),
    "prerm fails": Case(
        _REMOVE, "remove: removal of live: the prerm of live failed (exit status 3): no such user: x",
        _deb("preun", FAILS),
    ),
    "postrm fails at the purge": Case(
        _PURGE, "purge: purge of live: the postrm of live failed (exit status 3): no such user: x",
        _deb("postun", f'if [ "$1" = purge ]; then {FAILS}; fi'),
    ),
    "%preun fails": Case(
        _REMOVE, "remove: removal of live: the %preun scriptlet of live failed (exit status 3): no such user: x",
        {"scripts": {"preun": FAILS}}, kinds=("rpm",),
    ),
    "%postun of the old version fails at the upgrade": Case(
        ["upgrade"], "upgrade: package {new}: the %postun scriptlet of live failed (exit status 3): no such user: x",
        {}, {"scripts": {"postun": FAILS}}, kinds=("rpm",),
    ),
    "%posttrans fails": Case(
        ["upgrade"], "upgrade: package {new}: the %posttrans scriptlet of live failed (exit status 3): no such user: x",
        {"scripts": {"posttrans": FAILS}}, {}, kinds=("rpm",),
    ),
    # services
    "is named and not started before a restart": Case(
        ("install", "restart"), "install, ", {"scripts": {"post": "systemctl daemon-reload"}}, status=0,
        words=("--check-unit=live",),
    ),
    "dies before a restart that nothing comes before": Case(
        ("install", "restart"), "restart: unit live.service: failed (Result: exit-code): status 4: a stale lock",
        {"service": "echo a stale lock >&2; exit 4"},
    ),
    "serves nothing at a reload that nothing comes before": Case(
        ("install", "reload"), "reload: network tcp://localhost:81: ",
        words=("--check-network=tcp://localhost:81", "--network-timeout=0.1"),
    ),
    "dies after a restart": Case(
        (*_INSTALL, "restart"), "restart: unit live.service: failed (Result: exit-code): status 4: a stale lock",
        {"service": "[ ! -e /var/lib/live.lock ] || { echo a stale lock >&2; exit 4; }\n"
                    "touch /var/lib/live.lock; exec sleep infinity\n"},
    ),
    "is not back after a reboot": Case(
        (*_INSTALL, "reboot"), "; /run/live was there before the reboot, and is gone: RuntimeDirectory= or tmpfiles.d",
        {"service": "[ -d /run/live ] || { echo no /run/live >&2; exit 5; }\nexec sleep infinity\n",
         **_deb("post", "mkdir -p /run/live")},
    ),
    "cannot be reloaded": Case(
        (*_INSTALL, "reload"), "reload: reload of live.service: systemctl reload fails:",
        {"unit": {"ExecReload": "/bin/false"}},
    ),
    "is stopped by its upgrade": Case(
        ["upgrade"], "upgrade: unit live.service: inactive (dead)", _deb("post", '[ -z "$2" ] || exit 0'),
        {"scripts": {"preun": "systemctl stop live.service"}}, rule="stops-service",
    ),
    "is stopped by %postun of the old version": Case(
        ["upgrade"], "upgrade: unit live.service: inactive (dead)", {},
        {"scripts": {"postun": "systemctl stop live.service"}}, kinds=("rpm",), rule="stops-service",
    ),
    "is started although it is disabled": Case(
        (*_INSTALL, "reinstall"), "reinstall: start of live.service: it was stopped and disabled, and is active now",
        {"scripts": {"post": "systemctl daemon-reload; systemctl restart live.service || true"}},
        kinds=_ALL[:2], rule="starts-service",
    ),
    "is enabled although it is disabled": Case(
        (*_INSTALL, "reinstall"), "reinstall: enablement of live.service: it was stopped and disabled, and is enabled",
        {"scripts": {"post": "systemctl daemon-reload; systemctl enable live.service || true"}},
        kinds=_ALL[:2], rule="enables-service",
    ),
    "runs on after its removal": Case(
        (*_INSTALL, "remove"),
        "remove: unit live.service: is active (running) after the removal",
        {"scripts": {"preun": "true"}}, kinds=_ALL, rule="runs-after-removal",
    ),
    "has another unit": Case(
        ["upgrade"], "upgrade: unit live.service: it ran before, and is gone; the packages ship lived.service",
        {"service": None, "files": {
            "/usr/libexec/lived": f"#!/bin/sh\n{SERVER}",
            "/usr/lib/systemd/system/lived.service":
                "[Service]\nExecStart=/usr/libexec/lived\n[Install]\nWantedBy=multi-user.target\n",
         }, "scripts": {"post": "systemctl daemon-reload", "preun": "true", "postun": "true"}},
        {"scripts": {"preun": "systemctl stop live.service", "postun": "true"}},
        rule="stops-service",
    ),
    "refuses the data of the old version": Case(
        ["upgrade"],
        "upgrade: unit live.service: failed (Result: exit-code): status 6; it last printed: data of version 1",
        {"service": "[ ! -e /var/lib/live/1 ] || { echo data of version 1 >&2; exit 6; }\nexec sleep infinity\n"},
        {"service": "mkdir -p /var/lib/live; touch /var/lib/live/1; exec sleep infinity\n"}, kinds=_ALL[:2],
    ),
    "leaves a socket": Case(
        (*_INSTALL, "remove"), "remove: unit live.socket: is active (listening) after the removal",
        {"files": {"/usr/lib/systemd/system/live.socket":
                   "[Socket]\nListenDatagram=8081\n[Install]\nWantedBy=sockets.target\n"},
         "scripts": {"post": "systemctl daemon-reload; systemctl enable --now live.socket"}},
        rule="runs-after-removal",
    ),
    # configuration
    "overwrites configuration": Case(
        ["upgrade"], "upgrade: file /etc/live.conf: was overwritten, although the administrator has changed it",
        {"config": {}, "files": {"/etc/live.conf": "version = 2\n"}},
        {"config": {}, "files": {"/etc/live.conf": "version = 1\n"}}, kinds=_ALL, rule="config-overwritten",
    ),
    "overwrites configuration by a script": Case(
        (*_INSTALL, "reinstall"), "reinstall: file /etc/live.conf: was overwritten",
        {"scripts": {"post": "echo mine >/etc/live.conf; systemctl daemon-reload"}},
        words=("--allow=changes-conffile",), kinds=_ALL[:2], rule="config-overwritten",
    ),
    "asks about configuration": Case(
        ["upgrade"], "upgrade: package {new}: the postinst of live asks",
        _deb("post", 'if [ -n "$2" ]; then set -e; echo "Keep /etc/live.conf? [Y/n]"; read answer; fi'), {},
    ),
    "overwrites what its script has put into /etc": Case(
        ["upgrade"], "upgrade: file /etc/made.conf: was overwritten, although the administrator has changed it",
        _deb("post", "echo new >/etc/made.conf"), _deb("post", "echo old >/etc/made.conf"), rule="config-overwritten",
    ),
    "changes its conffile": Case(
        _INSTALL, "conffile /etc/live.conf: is not as the package has it, right after the installation",
        _deb("post", "echo port = 1 >>/etc/live.conf"), rule="changes-conffile",
    ),
    "deletes its data at an upgrade": Case(
        ["upgrade"], "upgrade: data in /var/lib/live: was deleted by the upgrade",
        {}, _deb("postun", "rm -rf /var/lib/live"), rule="deletes-data",
    ),
    "deletes its data as it is removed": Case(
        _REMOVE, "remove: data in /var/lib/live: was deleted by the removal, before any purge",
        _deb("postun", "rm -rf /var/lib/live"), rule="deletes-data",
    ),
    "is disabled by its upgrade": Case(
        ["upgrade"], "upgrade: enablement of live.service: it was enabled, and is disabled now",
        _deb("post", '[ -z "$2" ] || rm -f /etc/systemd/system/multi-user.target.wants/live.service; true'), {},
        rule="disables-service",
    ),
    "leaves a process at a restart": Case(
        (*_INSTALL, "restart"), "(perl) of its last run is still there, as its unit sets KillMode=process",
        {"service": SERVER.replace("exec perl", "perl", 1), "unit": {"KillMode": "process"}},
    ),
    "does not end when told": Case(
        (*_INSTALL, "restart"), "restart: stop of live.service: it does not end of the signal that stops it",
        {"service": "trap '' TERM; while :; do sleep 1; done\n", "unit": {"TimeoutStopSec": "1"}},
        rule="ends-when-told",
    ),
    "dumps core as it is restarted": Case(
        (*_INSTALL, "restart"), "restart: core dump of live.service: a process of it has crashed; systemd says: ",
        {"service": "trap 'kill -SEGV $$' TERM; while :; do sleep 0.2; done\n", "unit": {"LimitCORE": "infinity"}},
        rule="core-dump",
    ),
    "does not end when it is removed": Case(
        _REMOVE, "remove: stop of live.service: it does not end of the signal that stops it",
        {"service": "trap '' TERM; while :; do sleep 1; done\n", "unit": {"TimeoutStopSec": "1"}},
        rule="ends-when-told",
    ),
    "leaves a transient unit": Case(
        _REMOVE, "remove: unit lives-on.service: a transient unit, as by systemd-run(1), runs on after the removal: ",
        _deb("post", "systemd-run --unit=lives-on sleep infinity"), rule="runs-after-removal",
    ),
    # left behind
    "leaves files after the purge": Case(
        _PURGE, "purge: left behind: the purge leaves /var/lib/live, /var/log/live.log",
        {"scripts": {"post": f"{SCRIPTS['deb']['post']}\ntouch /var/lib/live/data /var/log/live.log",
                     "postun": SCRIPTS["deb"]["postun"].replace("rm -rf /var/lib/live", "true")}},
        rule="left-after-purge",
    ),
    "leaves a cron entry": Case(
        _PURGE, "purge: left behind: the purge leaves /etc/cron.d",
        _deb("post", "mkdir -p /etc/cron.d; echo >/etc/cron.d/live"),
        rule="left-after-purge",
    ),
    "leaves a cron entry after its removal": Case(
        _REMOVE, "remove: left behind: the removal leaves /etc/cron.d",
        {"scripts": {"post": "mkdir -p /etc/cron.d; echo >/etc/cron.d/live"}}, kinds=_ALL[1:], rule="left-after-remove",
    ),
    "leaves a program": Case(
        _REMOVE, "remove: left behind: the removal leaves /usr/lib/live",
        {"scripts": {"post": "mkdir /usr/lib/live; touch /usr/lib/live/cache"}}, kinds=_ALL, rule="left-after-remove",
    ),
    "leaves a diversion": Case(
        _REMOVE, "remove: diversions and overrides: the removal leaves the diversion of /srv/x to /srv/y by live",
        _deb("post", "dpkg-divert --package live --no-rename --divert /srv/y --add /srv/x"),
        rule="left-after-remove",
    ),
    "leaves an override": Case(
        _PURGE,
        "purge: diversions and overrides: the purge leaves the override of owner, group and mode: root root 700 /srv/x",
        _deb("post", "dpkg-statoverride --add root root 700 /srv/x"),
        rule="left-after-purge",
    ),
    "needs its user to be purged": Case(
        (*_PURGE, "install-again", "purge-again"),
        "purge-again: purge of live: the postrm of live failed (exit status 6): userdel: user 'lived' does not exist",
        {"scripts": {"postun": f'{SCRIPTS["deb"]["postun"]}\nif [ "$1" = purge ]; then userdel lived; fi'}},
        rule="purge-needs-what-is-gone",
    ),
}  # fmt: skip


def _cases() -> list[Any]:
    return [
        pytest.param(name, kind, id=f"{name}-{kind}".replace(" ", "-")) for name in CASES for kind in CASES[name].kinds
    ]


@pytest.mark.parametrize(("name", "kind"), _cases())
def test_a_fault(name: str, kind: str, postroj: Run, environments: dict[str, dict[str, str]], tmp_path: Path) -> None:
    case = CASES[name]
    new = live(tmp_path, kind, **case.new)
    words = ["--stay-active=0.5", *case.words, *(f"--phase={phase}" for phase in case.phases)]
    if case.old is not None:
        words.append(f"--upgrade-from={live(tmp_path, kind, '1.0.0', **case.old)}")

    done = postroj("pkgprobe", f"--image={KINDS[kind]}", f"--package={new}", *words, env=environments[kind])
    told = case.told.replace("{new}", str(new))
    assert (done.returncode, told in done.stdout.splitlines()[0]) == (case.status, True), done.stdout
    assert not case.rule or f"     rule {case.rule}: " in done.stdout, done.stdout


def test_a_rule_that_may_be_broken(postroj: Run, tmp_path: Path) -> None:
    package = live(tmp_path, "deb", **CASES["runs on after its removal"].new)
    words = ("--phase=install", "--phase=check", "--phase=remove", "--stay-active=0")
    done = postroj("pkgprobe", f"--package={package}", "--image=debian-bookworm", *words, "--allow=runs-after-removal")
    assert done.returncode == 0, done.stdout
    (told,) = (line for line in done.stdout.splitlines() if "is active (running) after the removal: " in line)
    assert told.endswith("; --allow=runs-after-removal allows it")


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_life(kind: str, postroj: Run, environments: dict[str, dict[str, str]], tmp_path: Path) -> None:
    new, old = live(tmp_path, kind), live(tmp_path, kind, "1.0.0")
    done = postroj(
        "pkgprobe",
        f"--image={KINDS[kind]}",
        f"--package={new}",
        f"--upgrade-from={old}",
        "--check-network=http://localhost:8080",
        "--lifecycle",
        env=environments[kind],
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_upgrade_and_a_purge_leave_what_others_have_brought(postroj: Run, tmp_path: Path) -> None:
    """A dependency, by its files and its user."""
    scripts = {"post": "useradd --system other", "preun": "", "postun": ""}
    files = {"/usr/lib/other/x": "x"}
    other = live(tmp_path, "deb", name="other", service=None, files=files, config={"/etc/other": "x"}, scripts=scripts)
    new, old = (live(tmp_path, "deb", version, depends=["other"]) for version in ("2.0.0", "1.0.0"))
    words = (f"--upgrade-from={old}", "--phase=upgrade", "--phase=purge", "--stay-active=0")
    done = postroj("pkgprobe", "--image=debian-bookworm", f"--package={new}", f"--with={other}", *words)
    assert done.returncode == 0, done.stdout


def test_of_a_package_that_is_not_installed_nothing_is_left(postroj: Run, tmp_path: Path) -> None:
    package = live(tmp_path, "deb", depends=["no-such-package"])
    words = [f"--phase={phase}" for phase in ("install", "remove", "purge")]
    done = postroj("pkgprobe", "--image=debian-bookworm", f"--package={package}", *words)
    assert done.returncode == 1, done.stdout
    assert "FAILED debian-bookworm: 1 of " in done.stdout, done.stdout
    assert "that stay" not in done.stdout, done.stdout


def test_links_that_postroj_has_made_are_not_the_package_s(postroj: Run, tmp_path: Path) -> None:
    install = "[Install]\nWantedBy=graphical.target\nAlias=alias.service\nAlso=also.service\n"
    files = {
        "/lib/systemd/system/quiet.service": f"[Service]\nExecStart=/bin/sleep infinity\n{install}",
        "/lib/systemd/system/also.service": "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=x.target\n",
    }
    stop = "[ $1 != remove ] || systemctl stop quiet also"
    package = debs.build(tmp_path, "quiet", files=files, enable=False, start="true", scripts={"prerm": stop})
    words = [f"--phase={phase}" for phase in ("install", "check", "remove", "purge")]
    done = postroj("pkgprobe", "--image=debian-bookworm", f"--package={package}", *words, "--stay-active=0")
    assert done.returncode == 0, done.stdout


def test_a_check_that_fails_is_tried_once_on_a_machine(postroj: Run, tmp_path: Path) -> None:
    new, old = live(tmp_path, "deb"), live(tmp_path, "deb", "1.0.0")
    words = [f"--phase={phase}" for phase in ("install", "check", "restart", "check", "upgrade", "downgrade")]
    words += ["--check=file /nowhere exists=yes timeout=0.1", "--stay-active=0", "--allow=downgrade"]
    done = postroj("pkgprobe", "--image=debian-bookworm", f"--package={new}", f"--upgrade-from={old}", *words)
    assert done.returncode == 1, done.stdout
    told = [line.partition("file /nowhere: ")[::2] for line in done.stdout.splitlines()[1:] if "/nowhere: " in line]
    assert told == [
        ("FAIL ", "does not exist (waited 0.1 s)"),
        ("skip ", "not tried again, as it has failed in check"),
        ("FAIL ", "does not exist (waited 0.1 s)"),  # after `upgrade` has set the machine back to its image
        ("skip ", "not tried again, as it has failed in upgrade"),
    ], done.stdout
    assert "skip unit" not in done.stdout


def test_a_file_that_moves_between_packages(postroj: Run, tmp_path: Path) -> None:
    """Without Replaces= dpkg refuses it, if the package that gets the file is unpacked first."""

    def pair(version: str, owner: str) -> list[Path]:
        nothing = {"service": None, "config": {}, "scripts": dict.fromkeys(("post", "preun", "postun"), "")}
        files = {name: f"/usr/share/{'moved' if name == owner else name}" for name in ("early", "late")}
        return [
            live(tmp_path, "deb", version, name=name, files={path: version}, **nothing) for name, path in files.items()
        ]

    old, new = pair("1.0.0", "late"), pair("2.0.0", "early")
    words = [*(f"--package={one}" for one in new), *(f"--upgrade-from={one}" for one in old), "--stay-active=0"]
    done = postroj("pkgprobe", "--image=debian-bookworm", *words)
    assert done.returncode == 1, done.stdout
    assert "/usr/share/moved of early_2.0.0-1_all.deb is also in the package late" in done.stdout.splitlines()[0]


_TO_LINK = 'dpkg-maintscript-helper dir_to_symlink /usr/share/turned /usr/share/other 1.5~ case -- "$@"\n'


@pytest.mark.parametrize(
    ("scripts", "is_link_before", "told"),
    [
        ({}, False, "upgrade: path /usr/share/turned: it stays a directory, where the package ships a link to other"),
        ({}, True, "upgrade: path /usr/share/turned: it stays a link, where the package ships a directory"),
        ({"preinst": _TO_LINK, "postinst": _TO_LINK, "postrm": _TO_LINK}, False, ""),
    ],
)
def test_a_directory_that_becomes_a_link(
    postroj: Run, tmp_path: Path, scripts: dict[str, str], is_link_before: bool, told: str
) -> None:
    directory: dict[str, Any] = {"files": {"/usr/share/turned/own": "one\n", "/usr/share/other/file": "two\n"}}
    link: dict[str, Any] = {"files": {"/usr/share/other/file": "two\n"}, "links": {"/usr/share/turned": "other"}}

    def package(version: str, kind: dict[str, Any], **more: Any) -> Path:
        there = tmp_path / version
        there.mkdir()
        return debs.build(there, "case", service=None, fields={"Version": version}, **kind, **more)

    old = package("1.0", link if is_link_before else directory)
    new = package("2.0", directory if is_link_before else link, scripts=scripts)
    words = [f"--package={new}", f"--upgrade-from={old}", "--stay-active=0"]
    done = postroj("pkgprobe", "--image=debian-bookworm", *words)
    assert done.returncode == (1 if told else 0), done.stdout
    assert told in done.stdout.splitlines()[0]
    if told:
        done = postroj("pkgprobe", "--image=debian-bookworm", *words, "--allow=directory-or-link")
        assert done.returncode == 0 and "--allow=directory-or-link allows it" in done.stdout, done.stdout


def test_a_trigger_that_fails(postroj: Run, tmp_path: Path) -> None:
    """Dpkg calls the postinst of the package whose trigger it is."""
    script = 'if [ "$1" = triggered ]; then echo no index >&2; exit 5; fi'
    package = debs.build(
        tmp_path, "live", postinst=script, start="true", control={"triggers": "interest-noawait /usr/share/live\n"}
    )
    other = debs.build(tmp_path, "other", service=None, files={"/usr/share/live/new": ""})
    words = (f"--with={package}", f"--package={other}", "--stay-active=0")
    done = postroj("pkgprobe", "--image=debian-bookworm", *words)
    assert done.returncode == 1, done.stdout
    assert (
        "the postinst of live failed (exit status 5) when it was run for a trigger: no index"
        in done.stdout.splitlines()[0]
    )


@pytest.mark.parametrize(
    ("phases", "signum"),
    [
        (["install", "reboot"], Signals.SIGINT),
        (["install", "reboot"], Signals.SIGKILL),
        (["install", "reinstall"], Signals.SIGTERM),
        (["install", "remove"], Signals.SIGINT),
        (["install", "remove", "purge"], Signals.SIGKILL),
        (["upgrade"], Signals.SIGINT),
        (["upgrade", "downgrade"], Signals.SIGKILL),
    ],
    ids=lambda value: value.name if isinstance(value, Signals) else "-".join(value),
)
def test_ended_in_a_phase(
    phases: list[str], signum: Signals, environment: dict[str, str], postroj: Run, tmp_path: Path
) -> None:
    words = [f"--package={live(tmp_path, 'deb')}"]
    words += [f"--upgrade-from={live(tmp_path, 'deb', '1.0.0')}"] if "upgrade" in phases else []
    words += [*(f"--phase={phase}" for phase in phases), f"--artifacts={tmp_path}/kept"]
    before = Residue.take()
    with started([POSTROJ, "pkgprobe", "--image=debian-bookworm", *words], environment) as process:
        assert process.stderr
        assert any(line.rstrip().endswith(f"phase {phases[-1]}".encode()) for line in process.stderr)
        deliver(process, signum)
        _, err = process.communicate(timeout=60)
    if signum is signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
        assert postroj("run", "debian-bookworm", "true").returncode == 0
    else:
        assert process.returncode == 128 + signum, err
        assert b"Traceback" not in err
        told = (tmp_path / "kept/report.txt").read_text().splitlines()
        assert told[0].startswith("NO VERDICT debian-bookworm: "), told
        assert (tmp_path / "kept/journal.txt").stat().st_size
    assert Residue.left(before) == before
