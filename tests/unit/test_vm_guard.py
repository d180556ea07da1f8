"""The process that powers a VM off with the end of its postroj: a real one, with a command that only notes it."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from postroj.locks import lock_directory

_PROGRAM = """
import os, sys
from postroj.locks import lock_directory
from postroj.vm import guard
guard._AGAIN_SECONDS = 0
off = ["sh", "-c", 'echo off >>"$1"', "sh", sys.argv[2]]
with guard.guarded("vm", lock_directory(sys.argv[1]), off, os.environ):
    print("up", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize(("signum", "often"), [(None, 1), (signal.SIGKILL, 2)])
def test_a_vm_is_powered_off_with_its_postroj(tmp_path: Path, signum: signal.Signals | None, often: int) -> None:
    """If that is killed, twice: what libvirt has begun for it goes on. Until then the VM is locked."""
    vm, noted = tmp_path / "vm", tmp_path / "noted"
    vm.mkdir()
    words = [sys.executable, "-c", _PROGRAM, str(vm), str(noted)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"up\n"
        assert lock_directory(str(vm), wait=False) is None and not noted.exists()
        if signum:
            process.send_signal(signum)
        process.communicate()
    lock = lock_directory(str(vm))
    assert lock is not None and noted.read_text() == "off\n" * often
    lock.release()
