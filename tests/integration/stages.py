"""What of the host the attempts of `attempts.py` are made on, set up for them and put back."""

import ctypes
import os
import platform
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from kept import locked
from support import STATE

_NUMBERS = {
    "x86_64": {
        "init_module": 175, "finit_module": 313, "adjtimex": 159, "add_key": 248, "keyctl": 250,
        "open_by_handle_at": 304, "ptrace": 101,
    },
    "aarch64": {
        "init_module": 105, "finit_module": 273, "adjtimex": 171, "add_key": 217, "keyctl": 219,
        "open_by_handle_at": 265, "ptrace": 117,
    },
}  # fmt: skip

_LIBC = ctypes.CDLL(None, use_errno=True)
_SLEEP = 31431
_KEY = f"postroj-test-key-{uuid.uuid4().hex}".encode()
_USER_KEYRING, _UNLINK = -4, 9  # keyctl(2)


class Stage(NamedTuple):
    """It is set."""

    words: tuple[object, ...] = ()
    """What the script is given."""
    options: tuple[str, ...] = ()
    """What postroj is given."""
    witness: Callable[[], str] = lambda: ""
    """What the host shows of it: another text once the attempt has been made."""
    seen: bool = False
    """Whether it is."""
    unfit: str = ""
    """Why this host does not let even its own root do it; empty where it does."""


def _number(name: str) -> int:
    numbers = _NUMBERS.get(platform.machine())
    if numbers is None:
        pytest.skip(f"the numbers of system calls on {platform.machine()} are not known here")
    return numbers[name]


@contextmanager
def system_calls(*names: str) -> Iterator[Stage]:
    """Their numbers."""
    yield Stage(tuple(map(_number, names)))


@contextmanager
def setting(top: str, path: str) -> Iterator[Stage]:
    """A number in a file of the kernel's, which is put back. Hosts that are simulated at the same time share it."""
    file = Path(top, path)
    if not file.exists():
        pytest.skip(f"this kernel has no {file}")
    with locked(Path(__file__).parent):
        before = file.read_text()
        unfit = ""
        try:
            file.write_text(before)
        except OSError as error:
            unfit = str(error)
        try:
            yield Stage((path, int(before) + 1), witness=file.read_text, seen=True, unfit=unfit)
        finally:
            if not unfit:
                file.write_text(before)


@contextmanager
def kernels_own(kind: str) -> Iterator[Stage]:
    """A file system that there is one of."""
    if f"\t{kind}\n" not in Path("/proc/filesystems").read_text():
        pytest.skip(f"this kernel has no {kind}")
    yield Stage((kind,))


@contextmanager
def disk_of_images(tmp_path: Path) -> Iterator[Stage]:
    """The disk that the images lie on."""
    device = os.stat(STATE).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    path = Path("/sys/dev/block", number)
    unfit = "" if path.exists() else f"{STATE} is on no disk"
    if not unfit:
        try:
            os.close(os.open(Path("/dev", path.resolve().name), os.O_RDONLY))
        except OSError as error:
            unfit = str(error)
    yield Stage(tuple(number.split(":")), unfit=unfit)


@contextmanager
def disk(tmp_path: Path) -> Iterator[Stage]:
    """A disk with a file in it; the host itself can only read it."""
    tools = [tool for tool in ("mkfs.ext4", "losetup") if not shutil.which(tool)]
    if tools:
        yield Stage((7, 0), unfit=f"there is no {tools[0]}")
        return
    image, content = tmp_path / "disk", tmp_path / "content"
    content.mkdir()
    (content / "file").write_text("secret\n")
    image.touch()
    os.truncate(image, 4 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-d", content, image], check=True)
    done = subprocess.run(
        ["losetup", "--find", "--show", "--read-only", image], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        yield Stage((7, 0), unfit=done.stderr)
        return
    device = done.stdout.strip()
    try:
        number = os.stat(device).st_rdev
        yield Stage((os.major(number), os.minor(number)))
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


@contextmanager
def kernel_log(tmp_path: Path) -> Iterator[Stage]:
    done = subprocess.run(["dmesg", "--syslog"], capture_output=True, text=True, check=False)
    yield Stage(unfit="" if done.stdout else f"it is not to be seen here: {done.stderr}")


@contextmanager
def kernel_addresses(tmp_path: Path) -> Iterator[Stage]:
    with Path("/proc/kallsyms").open() as file:
        hidden = int(file.readline().split()[0], 16) == 0
    yield Stage(unfit="they are not to be seen here" if hidden else "")


def hidden(path: str) -> Callable[[Path], AbstractContextManager[Stage]]:
    """A file below /proc or /sys, that only the host's root may read."""

    @contextmanager
    def stage(tmp_path: Path) -> Iterator[Stage]:
        if not any(Path(top, path).exists() for top in ("/proc", "/sys")):
            pytest.skip(f"this kernel has no {path}")
        yield Stage((path,))

    return stage


@contextmanager
def key_by_number(tmp_path: Path) -> Iterator[Stage]:
    with _key() as unfit:
        yield Stage((_number("keyctl"), _KEY.decode()), unfit=unfit)


@contextmanager
def key_by_name(tmp_path: Path) -> Iterator[Stage]:
    with _key() as unfit:
        yield Stage((_KEY.decode(),), unfit=unfit)


@contextmanager
def _key() -> Iterator[str]:
    """A key in the keyring of the host's root: add_key(2); why there is none, where this host does not give it."""
    keyring = ctypes.c_long(_USER_KEYRING)
    secret = b"secret"
    key = _LIBC.syscall(_number("add_key"), b"user", _KEY, secret, ctypes.c_size_t(len(secret)), keyring)
    if key < 0:
        yield f"add_key: {os.strerror(ctypes.get_errno())}"
        return
    try:
        yield ""
    finally:
        _LIBC.syscall(_number("keyctl"), _UNLINK, ctypes.c_long(key), keyring)


@contextmanager
def file_by_handle(tmp_path: Path) -> Iterator[Stage]:
    """A file beside a directory that is bound: name_to_handle_at(2)."""
    shown, secret = tmp_path / "shown", tmp_path / "secret"
    shown.mkdir()
    (shown / "file").write_text("shown\n")
    secret.write_text("secret\n")

    class Handle(ctypes.Structure):
        _fields_ = (("size", ctypes.c_uint), ("kind", ctypes.c_int), ("bytes", ctypes.c_ubyte * 128))

    handle, mount = Handle(128), ctypes.c_int()
    unfit = ""
    if _LIBC.name_to_handle_at(-100, os.fsencode(secret), ctypes.byref(handle), ctypes.byref(mount), 0) < 0:
        unfit, handle.size = f"name_to_handle_at: {os.strerror(ctypes.get_errno())}", 8
    words = (_number("open_by_handle_at"), shown / "file", handle.kind, bytes(handle.bytes[: handle.size]).hex())
    yield Stage(words, (f"--bind={shown}",), unfit=unfit)


@contextmanager
def bound_read_only(tmp_path: Path) -> Iterator[Stage]:
    (tmp_path / "file").write_text("as it was\n")
    yield Stage((), (f"--bind-ro={tmp_path}:/srv",), (tmp_path / "file").read_text, True)


@contextmanager
def image_tree(tmp_path: Path) -> Iterator[Stage]:
    link = Path(STATE, "images", "debian-bookworm")
    yield Stage((link.resolve().parent,))


@contextmanager
def process_by_name(tmp_path: Path) -> Iterator[Stage]:
    with _process():
        text = str(_SLEEP)
        yield Stage((f"{text[:-1]}[{text[-1]}]",))


@contextmanager
def process_to_kill(tmp_path: Path) -> Iterator[Stage]:
    with _process() as process:
        yield Stage((process.pid,), witness=lambda: str(process.poll()), seen=True)


@contextmanager
def process_to_trace(tmp_path: Path) -> Iterator[Stage]:
    with _process() as process:
        yield Stage((_number("ptrace"), process.pid))


@contextmanager
def _process() -> Iterator["subprocess.Popen[bytes]"]:
    """A process of the host's, whose PID is not one of a guest that has just booted."""
    while True:
        process = subprocess.Popen(["sleep", str(_SLEEP)])
        try:
            if process.pid > 2000:
                yield process
                return
        finally:
            process.kill()
            process.wait()
