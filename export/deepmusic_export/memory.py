"""What glibc's allocator does with memory that was freed."""

from __future__ import annotations

import ctypes
import platform

#: Parameters of mallopt(3).
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
_NEVER = 2**31 - 1
_TOP_PAD_BYTES = 256 << 20


def keep_freed_memory() -> bool:
    """Keeps this process's freed memory for itself, where the allocator is glibc's; whether it is.

    torch frees and takes tensors of megabytes all the time. glibc hands each back to the system, which gives it again
    page by page, filled with zeros: a sixth of a training step's processor time.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all(mallopt(*option) for option in ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, _NEVER), (_TOP_PAD, _TOP_PAD_BYTES)))
