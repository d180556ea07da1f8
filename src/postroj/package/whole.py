"""Whether a compressed file is cut off, as far as that can be known without decompressing it."""

import io
import struct
from typing import IO

_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_XZ_END = b"YZ"
_XZ_ALIGNED = 4
_MAX_STEPS = 5_000_000
"""Blocks of zstd that are stepped over: they have up to 128 KiB each, but may have none."""


def check(file: IO[bytes], kind: str) -> None:
    """Raise ValueError if a file that is compressed by xz or zstd is cut off; gzip's end has no mark."""
    end = file.seek(0, io.SEEK_END)
    if kind == "xz":
        file.seek(max(0, end - _XZ_ALIGNED))
        tail = file.read(_XZ_ALIGNED)
        # Behind the footer there may be padding, four zeros at a time.
        if end % _XZ_ALIGNED or not (tail.endswith(_XZ_END) or not tail.strip(b"\0")):
            raise ValueError("it is cut off")
    if kind == "zst":
        _check_zstd(file, end)


def _check_zstd(file: IO[bytes], end: int) -> None:
    """Step over the blocks of each frame: RFC 8878, 3.1."""
    steps = 0
    at = 0
    while at < end:
        file.seek(at)
        start = file.read(8)
        if start[1:4] == b"\x2a\x4d\x18" and start[0] & 0xF0 == 0x50 and len(start) == 8:
            at += 8 + struct.unpack("<I", start[4:])[0]
            steps += 1
            if steps > _MAX_STEPS:
                raise ValueError("it has too many frames")
            continue
        if not start.startswith(_ZSTD_MAGIC):
            return  # what follows a frame is the decompressor's to judge
        if len(start) < 5:
            raise ValueError("it is cut off")
        at += _frame_header(start[4])
        last = 0
        while not last:
            file.seek(at)
            block = file.read(3)
            steps += 1
            if steps > _MAX_STEPS:
                raise ValueError("it has too many blocks")
            if len(block) < 3:
                raise ValueError("it is cut off")
            number = int.from_bytes(block, "little")
            last, kind, size = number & 1, number >> 1 & 3, number >> 3
            at += 3 + (1 if kind == 1 else size)  # 1: one byte, to be repeated `size` times
        at += 4 * (start[4] >> 2 & 1)  # a checksum
    if at > end:
        raise ValueError("it is cut off")


def _frame_header(descriptor: int) -> int:
    """Return the size of a frame's header, with its magic."""
    single = descriptor >> 5 & 1
    content_size = (single, 2, 4, 8)[descriptor >> 6]
    dictionary = (0, 1, 2, 4)[descriptor & 3]
    return 5 + (1 - single) + dictionary + content_size
