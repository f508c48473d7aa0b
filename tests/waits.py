"""Calls that may wait for another thread or process without an end, found in source text."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

LIMITS = {"timeout", "timeout_seconds", "blocking", "block", "timeout_s"}
AWAITED = {  # what waits, by the last piece of its name, and how many positional arguments hold a limit
    "join": 1,  # of threads and processes; text's has its words as argument
    "wait": 1,
    "acquire": 1,
    "result": 1,
    "communicate": 2,
    "recv": 1,
    "foreach_learner": 99,
    "foreach_env_runner": 99,
    "foreach_actor": 99,
    "urlopen": 3,
}
WHOLE = {  # the same by the whole name
    "ray.get": 99,
    "ray.wait": 99,
    "subprocess.run": 99,
    "subprocess.call": 99,
    "subprocess.check_call": 99,
    "subprocess.check_output": 99,
    "fcntl.flock": 2,
}
_ASKED = {"get", *AWAITED, *(name.rpartition(".")[2] for name in WHOLE)}  # last pieces of names
QUEUES = ("queue", "inbox", "outbox")  # ends of names of what `get` and `put` wait for


def endless(source: Path) -> Iterator[tuple[int, str]]:
    """Yield line and text of each call in a file that may wait without a limit."""
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Call) and not _limited(node):
            yield node.lineno, ast.unparse(node)


def _limited(call: ast.Call) -> bool:
    last = getattr(call.func, "attr", getattr(call.func, "id", ""))
    if last not in _ASKED:
        return True
    name = ast.unparse(call.func)
    if any(keyword.arg in LIMITS for keyword in call.keywords):
        return True
    if name == "fcntl.flock":
        return any(flag in ast.unparse(call) for flag in ("LOCK_NB", "LOCK_UN"))
    if name in WHOLE:
        return len(call.args) >= WHOLE[name]
    if last == "get":
        owner = name.rpartition(".")[0].lower()
        return bool(call.args) or not owner.endswith(QUEUES)
    return not (isinstance(call.func, ast.Attribute) and last in AWAITED) or len(call.args) >= AWAITED[last]
