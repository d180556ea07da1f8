"""The commands that a script calls, and those that are not there."""

import subprocess
from collections.abc import Sequence

import pytest

from postroj.package.commands import called, lacking, leaves_no_process, untested


def _ask(argv: Sequence[str]) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("script", "names"),
    [
        ("set -e\nif [ ! -e /x ]; then gen --all 2>/tmp/x; fi\n", ["set", "gen"]),
        ('gen "/CN=$(whoami)" -x | sort && tee /x', ["gen", "sort", "tee", "whoami"]),
        ("case $1 in\n  configure|upgrade) gen ;;\n  *) stop;;\nesac", ["gen", "stop"]),
        ("A=1 gen\nB=$(list)\nfor i in a b; do run $i; done", ["gen", "list", "run"]),
        ("gen || true\nother", ["true", "other"]),
        ("command -v gen && gen\n[ -x /opt/b ] && /opt/b\nother", ["command", "other"]),
        ("own() { gen; }\nown\nfunction two { x; }; two", ["gen"]),
        ("cat <<EOF\nfoo bar\nEOF\n# comment\nnext # comment it's\n", ["cat", "next"]),
        ("TOOL=/opt/x\n$TOOL --init\n$OTHER", ["/opt/x"]),
        ("gen a \\\n  b\necho 'never closed", ["gen", "echo"]),
        ("until nc -z localhost 22 2>/dev/null; do sleep 1; done", ["nc", "sleep"]),
        ("", []),
    ],
)
def test_called(script: str, names: list[str]) -> None:
    assert called(script) == names


@pytest.mark.parametrize(
    ("script", "status", "told"),
    [
        ("no-such-tool -x 2>/dev/null", 127,
         "no-such-tool is not there; its package may be missing in the dependencies"),
        ("no-such-a; no-such-b", 127,
         "no-such-a and no-such-b are not there; their packages may be missing in the dependencies"),
        ("/no/such/tool", 127, "/no/such/tool does not exist"),
        ("/etc/passwd", 126, "/etc/passwd is not executable"),
        ("/etc/passwd", 127, ""),
        ("cat /x; echo", 127, ""),
    ],
)  # fmt: skip
def test_lacking(script: str, status: int, told: str) -> None:
    assert lacking(_ask, f"#!/bin/sh\n{script}\n", status) == told


@pytest.mark.parametrize(
    ("script", "path"),
    [
        ("DAEMON=/no/such/d\n[ -x $DAEMON ] || exit 0", "/no/such/d"),
        ('DAEMON="/bin/sh"\ntest -x "$DAEMON" || exit 5', ""),
        ("test -f /no/such/f || exit 0", "/no/such/f"),
        ("[ -x $UNKNOWN ] || exit 0", ""),
    ],
)
def test_untested(script: str, path: str) -> None:
    assert untested(_ask, script) == path


@pytest.mark.parametrize(
    "script", ["\n" * 10**6, " # " * 10**5 + "'", "a" * 10**6, "test " * 10**5, "$(" * 10**5, "x()\n" * 10**5]
)
def test_a_hostile_script_takes_no_time(script: str) -> None:
    assert len(called(script)) <= 200


@pytest.mark.parametrize(
    ("script", "leaves_none"),
    [
        ("# Default-Start: S\ncase $1 in start) exit 0;; esac", True),
        ("# Default-Start: 2 3 4 5\ncase $1 in start) exit 0;; esac", False),
        ("# Default-Start: 2 3\ncase $1 in start) iptables-restore </etc/rules;; esac", True),
        ("# Default-Start: 2 3\nfor one in /sys/$f1; do echo 1 >$one; done", True),
        ("# Default-Start: 2 3\n# sets /sys/x\nstart() { /usr/bin/web; }", False),
        ("# Default-Start: S\nstart-stop-daemon --start --exec /usr/bin/web", False),
        ("# Default-Start: 2 3\nsysctl -q -p\n/usr/bin/web &\n", False),
        ("[ -d /sys/class/dmi ] && /opt/agent/bin/agent start", False),
        ('sysctl -w net.ipv4.ip_forward=1; su app -c "/opt/app/run.sh >/dev/null 2>&1 &"', False),
        ("modprobe tun\n/usr/sbin/openvpn --config /etc/x --writepid /run/x.pid", False),
        ("modprobe x; startproc /usr/sbin/foo", False),
        ("(/opt/x/server & echo $! > /run/x) ; sysctl -p", False),
        ('echo "see sysctl -a"; /opt/x/bin/server -b', False),
        ("# the firewall, no daemon\ncase $1 in start) iptables -F;; esac", True),
        ("# Default-Start: 2 3\nPIDFILE=/run/web.pid\nsysctl -q -p\n/usr/bin/web\n", False),
    ],
)
def test_init_scripts_that_leave_no_process(script: str, leaves_none: bool) -> None:
    assert leaves_no_process(script) is leaves_none
