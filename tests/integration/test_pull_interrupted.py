"""A pull that is interrupted leaves the old image, or none, and the next one works."""

from signal import Signals

import pytest

from moments import deliver, running, started, until
from residue import Residue, image_debris
from scratch import scratch_state
from support import POSTROJ, Run

_SIGNALS = [Signals.SIGINT, Signals.SIGTERM, Signals.SIGKILL]


@pytest.mark.parametrize("signum", _SIGNALS, ids=lambda signum: signum.name)
def test_interrupted_update_leaves_the_old_image(
    signum: Signals, bookworm: str, environment: dict[str, str], postroj: Run
) -> None:
    before = Residue.take()
    with scratch_state(bookworm) as state:
        old = (state / "images" / bookworm).readlink()
        env = {**environment, "POSTROJ_STATE_DIR": str(state)}
        with started([POSTROJ, "pull", "--update", bookworm], env) as process:
            until(lambda: running("perl", "mmdebstrap") or process.poll() is not None, "mmdebstrap runs")
            assert process.poll() is None, process.communicate()
            deliver(process, signum)
            _, err = process.communicate(timeout=60)
        if signum is Signals.SIGKILL:
            assert process.returncode == -signum
            assert Residue.settled_by_kernel(before.by_kernel()) == before.by_kernel()
        else:
            assert (process.returncode, b"Traceback" in err) == (128 + signum, False)
            assert Residue.left(before) == before
            assert image_debris(state / "images") == set()
        assert (state / "images" / bookworm).readlink() == old
        # It still boots.
        done = postroj("run", bookworm, "cat", "/etc/os-release", env=env)
        assert "VERSION_CODENAME=bookworm" in done.stdout, done.stderr


@pytest.mark.once
def test_killed_pull_leaves_no_image_and_the_next_one_works(
    bookworm: str, environment: dict[str, str], postroj: Run
) -> None:
    with scratch_state() as state:
        env = {**environment, "POSTROJ_STATE_DIR": str(state)}
        with started([POSTROJ, "pull", bookworm], env) as first:
            until(lambda: running("perl", "mmdebstrap") or first.poll() is not None, "mmdebstrap runs")
            assert first.poll() is None, first.communicate()
            # One that waits for its turn meanwhile has to do the work.
            with started([POSTROJ, "pull", bookworm], env) as second:
                assert second.stderr is not None
                assert b"waiting for another process" in second.stderr.readline()
                first.kill()
                first.communicate(timeout=60)
                assert not (state / "images" / bookworm).is_symlink()
                out, err = second.communicate(timeout=600)
        assert second.returncode == 0, err
        assert out.startswith(b"ok      debian-bookworm: ")
        assert image_debris(state / "images") == set()
        assert postroj("run", bookworm, "true", env=env).returncode == 0
