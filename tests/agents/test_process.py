import os
import subprocess
import sys

import pytest

CODE = """
import resource, sys, torch
from wealtharena.agents.process import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def work():
    parts = [torch.ones(2**19) for _ in range(8)]
    del parts
for _ in range(5):
    work()
before = faults()
for _ in range(100):
    work()
print(faults() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_kept_memory_is_used_again_without_page_faults() -> None:
    # glibc's own threshold moves with what a process happens to free; set, every large piece goes back to the system
    strict = os.environ | {"MALLOC_MMAP_THRESHOLD_": "131072"}
    counts = {
        mode: int(
            subprocess.run(
                [sys.executable, "-c", CODE, mode], env=strict, capture_output=True, text=True, check=True
            ).stdout
        )
        for mode in ("give", "keep")
    }
    assert counts["give"] > 100
    assert counts["keep"] * 5 < counts["give"]
