import os
import subprocess
import sys

import pytest

CODE = """
import resource, torch
from wealtharena.agents.process import keep_freed_memory
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def work():
    parts = [torch.ones(2**19) for _ in range(8)]
    del parts
for keeps in (False, True):
    if keeps:
        assert keep_freed_memory()
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
    done = subprocess.run(
        [sys.executable, "-c", CODE], env=strict, capture_output=True, text=True, check=True, timeout=120
    )
    given, kept = map(int, done.stdout.split())
    assert given > 100
    assert kept * 5 < given


FORKING = """
import os, signal, sys, torch
from wealtharena.agents.networks import build_network
from wealtharena.agents.process import set_threads
if sys.argv[1] == "its own":
    set_threads(2)
else:
    torch.set_num_threads(2)
square = torch.ones(600, 600, requires_grad=True)
(square @ square).sum().backward()  # OpenMP's threads begin
child = os.fork()
if child == 0:
    signal.alarm(30)
    (square @ square).sum().backward()
    print(set_threads(2), float((square @ square).sum()), flush=True)
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0)
"""


@pytest.mark.slow
@pytest.mark.parametrize("threads", ["its own", "somebody's"])
def test_a_fork_of_a_process_that_has_trained_computes(threads: str) -> None:
    """OpenMP waits for ever for the threads that only the parent has."""
    done = subprocess.run(
        [sys.executable, "-c", FORKING, threads], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout) == (0, "1 216000000.0\n"), done.stderr
