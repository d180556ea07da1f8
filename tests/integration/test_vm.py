"""Virtual machines: one whole life of a VM that is built, booted once, and restored for each run after that."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import debs
from scratch import scratch_state
from support import STATE, Run
from vm_host import VmHost, missing, vm_host

__all__ = ["vm_host"]

pytestmark = [pytest.mark.network, pytest.mark.skipif(bool(missing()), reason=missing())]

_SECONDS = 1800


@pytest.fixture(scope="module")
def environment_of_vms(vm_host: VmHost) -> Iterator[dict[str, str]]:
    """Images and boxes that are shared, and VMs of this module's own, which are emulated."""
    with scratch_state() as state:
        yield {
            "POSTROJ_STATE_DIR": str(state),
            "POSTROJ_IMAGES_DIR": os.path.join(STATE, "images"),
            "POSTROJ_VM_DRIVER": "qemu",
        }


def test_a_life(postroj: Run, bookworm: str, environment_of_vms: dict[str, str], tmp_path: Path) -> None:
    """All of it in one test: the VM of the first run is that of the others."""

    def run(*words: str, stdin: str = "") -> tuple[int, str, str]:
        done = postroj(*words, env=environment_of_vms, input=stdin, timeout=_SECONDS)
        return done.returncode, done.stdout, done.stderr

    # the first run makes the box and the VM
    status, out, err = run(
        "run", "--vm", bookworm, "sh", "-c", 'echo "$0 $1"; echo bad >&2; exit 7', "a  b", "$HOME'\""
    )
    assert (status, out) == (7, "a  b $HOME'\"\n"), err
    assert "bad" in err.splitlines()
    assert run("vm", "--quiet", "ls") == (0, f"{bookworm}-1\n", "")

    # the next one restores it
    status, out, err = run(
        "run", "--vm", "--interactive", bookworm, "sh", "-c", "cat; uname -r; ls /root/x", stdin="hi\n"
    )
    assert status == 2, err
    assert out.startswith("hi\n") and "cloud" in out
    assert "restoring the VM" in err

    # a package with a service
    package = debs.build(
        tmp_path,
        "case",
        service="exec perl -MIO::Socket::INET -e 'my $s = IO::Socket::INET->new("
        "LocalPort => 8080, Listen => 1, ReuseAddr => 1); while (my $c = $s->accept) { <$c>; print $c "
        '"HTTP/1.0 200 OK\\r\\n\\r\\nhi"; close $c }\'',
    )
    words = ["--vm", f"--image={bookworm}", f"--package={package}", "--check-unit=case"]
    status, out, err = run(
        "pkgprobe",
        *words,
        "--check-network=http://localhost:8080",
        "--phase=install",
        "--phase=check",
        "--phase=reboot",
    )
    assert status == 0, out + err
    status, out, err = run("pkgprobe", *words, "--check-network=http://localhost:8081", "--network-timeout=5")
    assert status == 1, out + err
    assert "8081" in out.splitlines()[0]

    assert run("vm", "rm", f"{bookworm}-1")[0] == 0
    assert run("vm", "--quiet", "ls") == (0, "", "")
