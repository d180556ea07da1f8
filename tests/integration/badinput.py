"""How every error is told: one sentence on standard error, the right status, nothing on standard output."""

import subprocess


def assert_told(done: "subprocess.CompletedProcess[str]", status: int, *told: str) -> None:
    """It ended with `status` and said so in one clear sentence, which (with what follows) has each text of `told`."""
    shown = f"status {done.returncode}\n--- stdout\n{done.stdout}\n--- stderr\n{done.stderr}"
    assert done.returncode == status, shown
    assert "Traceback" not in done.stderr and "internal error" not in done.stderr, shown
    sentences = [line for line in done.stderr.splitlines() if line.startswith("postroj: ")]
    assert len(sentences) == 1, shown
    for text in told:
        assert text in done.stderr, f"{text!r} is not in:\n{shown}"


def assert_no_verdict(done: "subprocess.CompletedProcess[str]", image: str, *told: str) -> None:
    """The same of pkgprobe, which ended for no fault of a package: the reason is on standard output as well."""
    assert_told(done, 3, *told)
    sentence = next(line for line in done.stderr.splitlines() if line.startswith("postroj: "))
    assert done.stdout.startswith(f"NO VERDICT {image}: {sentence.removeprefix('postroj: ')}\n"), done.stdout
    assert f"\nNO VERDICT {image}: " in done.stdout, done.stdout


def assert_refused(done: "subprocess.CompletedProcess[str]", status: int, *told: str) -> None:
    """The same, before anything was done: not a word comes before the sentence."""
    assert_told(done, status, *told)
    assert done.stdout == "", done.stdout
    assert done.stderr.startswith("postroj: "), done.stderr
