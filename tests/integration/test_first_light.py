"""The thin line from end to end."""

from support import Run


def test_pipe_goes_through_a_machine(postroj: Run, bookworm: str) -> None:
    done = postroj("run", bookworm, "cat", input="hi\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "hi\n", "")


def test_probe_of_a_unit(postroj: Run, bookworm: str) -> None:
    done = postroj("pkgprobe", "--image", bookworm, "--check-unit=systemd-journald")
    assert done.returncode == 0, done.stderr
    assert "unit systemd-journald.service: active (running)" in done.stdout
