"""Settings of its own unit that an error of a service, or what it lacks, is about."""

import pytest

from postroj.contract import UnitFacts
from postroj.probe.told import about, hidden
from postroj.probe.unitfile import UnitFile


def unit_file(**settings: str) -> UnitFile:
    return UnitFile(frozenset({"Service"}), {key: (value,) for key, value in settings.items()})


@pytest.mark.parametrize(
    ("limit", "settings", "told"),
    [
        ("device node /dev/net/tun", {"PrivateDevices": "yes"}, "its unit sets PrivateDevices=yes"),
        ("device node /dev/fuse", {"DevicePolicy": "closed"}, "its unit sets DevicePolicy=closed"),
        ("device node /dev/fuse", {"DevicePolicy": "auto", "PrivateDevices": "no"}, ""),
        ("kernel setting /proc/sys/x", {"ProtectKernelTunables": "true"}, "its unit sets ProtectKernelTunables=true"),
        ("kernel setting /proc/sys/x", {"PrivateDevices": "yes"}, ""),
        ("audit audit_open", {"PrivateDevices": "yes", "ProtectClock": "yes"}, ""),
        ("scheduling chrt: x", {"RestrictRealtime": "yes"}, "its unit sets RestrictRealtime=yes"),
        ("scheduling chrt: x", {"User": "nobody"}, "its unit sets User=nobody"),
        ("scheduling chrt: x", {"User": "nobody", "AmbientCapabilities": "CAP_SYS_NICE"}, ""),
        ("scheduling chrt: x", {"User": "nobody", "LimitRTPRIO": "99"}, ""),
        ("scheduling chrt: x", {"SystemCallFilter": "@system-service"}, ""),
        ("clock adjtimex: x", {"DynamicUser": "yes"}, "its unit sets DynamicUser=yes"),
        ("locked memory mlockall: x", {"LimitMEMLOCK": "4096"}, ""),
        ("scheduling ionice: x", {"RestrictRealtime": "yes"}, ""),
        ("clock adjtimex: x", {"User": "nobody", "ExecStartPre": "-+/bin/x"}, ""),
        ("swap space /x: y", {"SystemCallFilter": "@swap" + " x" * 200}, ""),
        ("swap space /x: y", {"SystemCallFilter": "~@privileged"}, "its unit sets SystemCallFilter=~@privileged"),
        ("locked memory mlockall: x", {"User": "nobody"}, ""),
        (
            "kernel file system /x: y",
            {"CapabilityBoundingSet": "CAP_CHOWN"},
            "its unit sets CapabilityBoundingSet=CAP_CHOWN",
        ),
        ("kernel file system /x: y", {"CapabilityBoundingSet": "CAP_CHOWN CAP_SYS_ADMIN"}, ""),
        ("kernel file system /x: y", {"CapabilityBoundingSet": "~CAP_CHOWN"}, ""),
        (
            "kernel file system /x: y",
            {"SystemCallFilter": "@system-service"},
            "its unit sets SystemCallFilter=@system-service",
        ),
        ("kernel file system /x: y", {"SystemCallFilter": "@system-service mount"}, ""),
        (
            "kernel file system /x: y",
            {"SystemCallFilter": "~@mount @swap"},
            "its unit sets SystemCallFilter=~@mount @swap",
        ),
        ("kernel file system /x: y", {"SystemCallFilter": "~@swap"}, ""),
        ("kernel setting /sys/fs/cgroup/x", {"ProtectControlGroups": "yes"}, "its unit sets ProtectControlGroups=yes"),
        ("kernel setting /proc/sys/x", {"ProtectControlGroups": "yes"}, ""),
    ],
)
def test_what_a_unit_gives_up_is_no_limit_of_the_machine(limit: str, settings: dict[str, str], told: str) -> None:
    assert hidden(limit, unit_file(**settings)) == told


def test_root_that_is_refused_is_bound_by_its_unit() -> None:
    line = "cannot open /var/lib/x: Permission denied"
    file = unit_file(CapabilityBoundingSet="CAP_CHOWN")
    assert about(line, UnitFacts(), file) == "its unit sets CapabilityBoundingSet=CAP_CHOWN, which root is bound by"
    assert about(line, UnitFacts(user="web"), file) == ""


def test_a_variable_in_braces_is_one_argument() -> None:
    file = unit_file(ExecStart="/usr/bin/web ${OPTIONS}")
    told = "ExecStart= has ${OPTIONS}, which systemd passes on as one argument; $OPTIONS is split into words"
    assert about("web: error: unrecognized arguments: --port 80", UnitFacts(), file) == told
    assert about("web: unknown option --port 80", UnitFacts(), file) == told
    assert about("cannot open --port 80", UnitFacts(), file) == ""
    assert about("unknown option --x", UnitFacts(), unit_file(ExecStart="/usr/bin/web --port=${PORT} $OPTIONS")) == ""


def test_a_locale_that_the_unit_sets() -> None:
    file = unit_file(Environment="LC_ALL=en_US.UTF-8")
    assert (
        about("locale.Error: unsupported locale setting", UnitFacts(), file)
        == "its unit sets Environment=LC_ALL=en_US.UTF-8"
    )
