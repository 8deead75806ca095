"""Memory that was freed is taken again without asking the system for it, where glibc is the allocator."""

from __future__ import annotations

import json
import platform
import subprocess
import sys

SCRIPT = """
import json, resource, sys
import numpy as np
from deepmusic_export.memory import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(64 << 20, np.uint8).sum()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

is_kept = sys.argv[1] == "kept" and keep_freed_memory()
faults()
print(json.dumps([is_kept, faults()]))
"""


def test_freed_memory_is_kept_where_the_allocator_is_glibcs() -> None:
    runs = [
        subprocess.run([sys.executable, "-c", SCRIPT, how], check=True, capture_output=True, text=True)
        for how in ("given back", "kept")
    ]
    (_, before), (is_kept, after) = (json.loads(run.stdout) for run in runs)
    assert is_kept == (platform.libc_ver()[0] == "glibc")
    assert not is_kept or after < before / 10
