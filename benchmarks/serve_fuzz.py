"""The service against its own OpenAPI document, by schemathesis: no 500, no undocumented answer, no answer over 5 s.

python benchmarks/serve_fuzz.py [--examples 400] [--seed 1]
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,negative_data_rejection,unsupported_method,allow_header_conformance"
)


def fuzz(address: str, *, examples: int, seed: int, phases: str = "examples,coverage,fuzzing") -> tuple[int, str]:
    """Return the exit code of schemathesis (0 where every check passed) and what it printed."""
    command = [
        str(Path(sys.executable).with_name("schemathesis")), "run", f"{address}/openapi.json", "--checks", CHECKS,
        "--phases", phases, "--max-examples", str(examples), "--seed", str(seed), "--max-response-time", "5",
        "--continue-on-failure", "--no-color", "--mode", "all", "--suppress-health-check", "all", "--warnings", "off",
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def cases(printed: str) -> int:
    """Return the number of test cases in schemathesis's summary."""
    found = re.search(r"([\d,]+) generated", printed)
    return int(found[1].replace(",", "")) if found else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    wish = parser.parse_args()
    from tests.deployment.rooms import live
    from tests.registry.shelf import stocked

    with tempfile.TemporaryDirectory() as folder:
        stocked(Path(folder))
        began = time.perf_counter()
        with live(Path(folder)) as (address, _):
            code, printed = fuzz(address, examples=wish.examples, seed=wish.seed)
        audit = (Path(folder) / "audit.jsonl").read_text().splitlines()
    print(printed)
    print(f"{cases(printed)} cases, {len(audit)} requests in {time.perf_counter() - began:.0f} s, exit code {code}")
    return code


if __name__ == "__main__":
    sys.path.insert(0, str(REPOSITORY))
    sys.exit(main())
