"""A way out that takes small packets only, and does not tell: downloads of guests go through all the same."""

import sys
from pathlib import Path

import pytest

from own_network import NEIGHBOUR, own_network

pytestmark = pytest.mark.once

_PORT = 8081
_LARGE = 2_000_000
# perl-base is in each Debian
_DOWNLOAD = """exec perl -MIO::Socket::INET -e '
    my $server = IO::Socket::INET->new(PeerAddr => $ARGV[0], Proto => "tcp") or die "connect: $!";
    print $server "GET /large HTTP/1.0\r\n\r\n";
    my $length = 0;
    $length += length while <$server>;
    print "$length\n";
' "$1"
"""


def test_a_large_download(tmp_path: Path, environment: dict[str, str], bookworm: str) -> None:
    (tmp_path / "large").write_bytes(b"x\n" * (_LARGE // 2))
    with own_network(tmp_path, NEIGHBOUR) as network:
        network.link(mtu=1280)
        words = ["--directory", str(tmp_path), "--bind", NEIGHBOUR, str(_PORT)]
        network.serve_outside(_PORT, sys.executable, "-m", "http.server", *words)
        done = network.postroj(
            *("run", "--timeout=120", bookworm, "sh", "-c", _DOWNLOAD, "sh", f"{NEIGHBOUR}:{_PORT}"), env=environment
        )
        assert done.returncode == 0, done.stderr
        assert int(done.stdout) > _LARGE
