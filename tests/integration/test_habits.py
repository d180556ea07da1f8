"""What a user of docker types first."""

import subprocess

import pytest

from guests import guest
from support import NOBODY, POSTROJ, Run


@pytest.mark.once
@pytest.mark.parametrize("words", ["-v run --rm", "run -v --rm", "-v run --rm -q"])
def test_verbosity_before_or_after_the_command(postroj: Run, bookworm: str, words: str) -> None:
    done = postroj(*words.split(), bookworm, "sh", "-c", "echo $0 $1", "-v", "-q")
    assert (done.returncode, done.stdout) == (0, "-v -q\n"), done.stderr


def test_running_machines_are_listed(environment: dict[str, str], bookworm: str, postroj: Run) -> None:
    with guest(environment, "--name=mine", bookworm):
        done = postroj("ps")
        assert (done.returncode, done.stderr) == (0, "")
        assert "mine" in [line.split("\t")[0] for line in done.stdout.splitlines()]
        assert "mine" in postroj("ps", "-q").stdout.splitlines()
        done = subprocess.run([*NOBODY, POSTROJ, "ps"], capture_output=True, text=True, env=environment)
        assert (done.returncode, done.stdout, done.stderr) == (0, postroj("ps").stdout, "")
    assert "mine" not in postroj("ps", "-q").stdout.splitlines()


@pytest.mark.once
def test_images_are_listed(bookworm: str, postroj: Run) -> None:
    for words in (["images"], ["image", "ls"]):
        done = postroj(*words, "--pulled")
        assert (done.returncode, done.stdout) == (0, postroj("list-images", "--pulled").stdout)
        assert bookworm in done.stdout


@pytest.mark.once
def test_an_alias_is_judged_as_its_target(bookworm: str, postroj: Run) -> None:
    done = postroj("pkgprobe", f"--image={bookworm}", "--check-unit=default.target", "--check-unit=graphical.target")
    assert (done.returncode, done.stderr) == (0, "")
    assert "unit graphical.target: active (active); default.target is an alias of it" in done.stdout
    assert done.stdout.count("unit ") == 1


@pytest.mark.once
def test_what_postroj_masks_has_no_verdict(bookworm: str, postroj: Run) -> None:
    done = postroj("pkgprobe", f"--image={bookworm}", "--check-unit=apt-daily.timer")
    assert done.returncode == 3 and "postroj masks it in all images (would hold apt's lock" in done.stdout
