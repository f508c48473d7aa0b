from __future__ import annotations

import errno
import fcntl
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wealtharena import files, shown
from wealtharena.files import BadLineError, append_line, read_lines, read_log, require_appendable, require_writable

TEXTS = st.dictionaries(st.text(max_size=6), st.text(max_size=20), max_size=3)


def add(path: Path, content: Any, **options: float) -> None:
    append_line(path, lambda _: json.dumps(content, ensure_ascii=False).encode(), **options)


def held_by(path: Path) -> list[Any]:
    return [line.content for line in read_lines(read_log(path))]


@pytest.mark.slow
@given(records=st.lists(TEXTS, max_size=6), cut=st.integers(0, 400))
@settings(max_examples=80)
def test_after_a_cut_at_any_byte_whole_lines_stand_and_the_next_one_is_added(
    tmp_path_factory: pytest.TempPathFactory, records: list[dict[str, str]], cut: int
) -> None:
    path = tmp_path_factory.mktemp("log") / "log.jsonl"
    for record in records:
        add(path, record)
    whole = read_log(path)
    path.write_bytes(whole[:cut])
    standing = held_by(path)
    assert standing == records[: len(standing)]
    assert len(standing) >= whole[:cut].count(b"\n")
    add(path, {"last": "one"})
    assert held_by(path) == [*standing, {"last": "one"}]


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\r"])
def test_only_a_newline_ends_a_line(tmp_path: Path, mark: str) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(json.dumps({"why": f"a{mark}b"}, ensure_ascii=mark == "\r" or ord(mark) < 32) + "\n", newline="\n")
    assert held_by(path) == [{"why": f"a{mark}b"}]


@pytest.mark.parametrize(
    ("line", "problem"),
    [(b"\xff\xfe", "not UTF-8"), (b"{", "not JSON"), (b"[1]", "not a JSON object"), (b"", "not JSON")],
)
def test_a_bad_line_is_told_by_its_number(line: bytes, problem: str) -> None:
    with pytest.raises(BadLineError, match=f"line 2 is {problem}"):
        list(read_lines(b'{"a": 1}\n' + line + b'\n{"b": 2}\n'))


@pytest.mark.parametrize("room", [0, 1, 10, 29, 4096])
def test_on_a_full_disk_nothing_is_added_and_it_is_said(
    tmp_path: Path, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log.jsonl"
    add(path, {"first": 1})
    before, real, left = path.read_bytes(), os.write, room

    def full(descriptor: int, content: Any) -> int:
        nonlocal left
        if left == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = real(descriptor, bytes(content)[:left])
        left -= written
        return written

    monkeypatch.setattr(files.os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        add(path, {"second": "x" * 5000})
    assert path.read_bytes() == before


def test_short_writes_are_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(files.os, "write", lambda descriptor, content: real(descriptor, bytes(content)[:3]))
    add(tmp_path / "log.jsonl", {"long": "enough"})
    assert held_by(tmp_path / "log.jsonl") == [{"long": "enough"}]


def test_a_holder_that_does_not_let_go_is_told_and_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    add(path, {"first": 1})
    with path.open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(TimeoutError, match=r"another process has held it for 0\.1 seconds"):
            add(path, {"second": 2}, seconds=0.1)
    add(path, {"second": 2}, seconds=0.1)
    assert held_by(path) == [{"first": 1}, {"second": 2}]


@pytest.mark.parametrize("number", sorted(files.NO_LOCKS))
def test_a_file_system_without_locks_is_told_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def none(descriptor: Any, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files.fcntl, "flock", none)
    monkeypatch.setattr(files.tempfile, "tempdir", str(tmp_path))
    path = tmp_path / "log.jsonl"
    with pytest.raises(OSError, match="its file system knows no locks"):
        require_appendable(path)
    assert not list(tmp_path.iterdir())
    with pytest.raises(OSError, match="its file system knows no locks"):
        add(path, {"first": 1})
    assert not path.read_bytes()
    with files.temporary_folder("x") as folder:
        assert folder.is_dir()


def test_every_new_folder_and_the_new_file_are_entered_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(files, "sync", synced.append)
    add(tmp_path / "a" / "b" / "log.jsonl", {})
    assert set(synced) == {tmp_path, tmp_path / "a", tmp_path / "a" / "b"}


MISFITS: dict[str, Callable[[Path], object]] = {"pipe": os.mkfifo, "folder": os.mkdir}


@pytest.mark.parametrize("make", MISFITS.values(), ids=MISFITS)
def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "log.jsonl")
    began = time.monotonic()
    for ask in (read_log, require_appendable, lambda path: add(path, {})):
        with pytest.raises(OSError, match=r"regular file|directory"):
            ask(tmp_path / "log.jsonl")
    assert time.monotonic() - began < files.LOCK_SECONDS


def test_what_is_let_go_is_free_whoever_inherited_it(tmp_path: Path) -> None:
    """A child that was forked meanwhile has the same open file, and lives on."""
    with files.held(tmp_path / "turn") as descriptor:
        inherited = os.dup(descriptor)
        with pytest.raises(TimeoutError), files.held(tmp_path / "turn", seconds=0.0):
            pass
    try:
        with files.held(tmp_path / "turn", seconds=0.0):
            pass
    finally:
        os.close(inherited)


def test_asking_whether_there_is_room_leaves_nothing_behind(tmp_path: Path) -> None:
    require_writable(tmp_path / "new")
    require_appendable(tmp_path / "new" / "log.jsonl")
    assert {path.name for path in tmp_path.rglob("*")} == {"new"}
    add(tmp_path / "new" / "log.jsonl", {})
    before = (tmp_path / "new" / "log.jsonl").read_bytes()
    require_appendable(tmp_path / "new" / "log.jsonl")
    assert (tmp_path / "new" / "log.jsonl").read_bytes() == before


@pytest.mark.slow
def test_what_has_no_room_is_named(tmp_path: Path) -> None:
    """An open file that takes no more says nothing of which it is; pyarrow has words of its own."""
    code = (
        "import resource, sys; from pathlib import Path; import pandas as pd\n"
        "from wealtharena import files; from wealtharena.config.machine import of_the_machine\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)); place, big = Path(sys.argv[1]), 'x' * 5000\n"
        "def table():\n"
        "    with files.atomic_path(place / 'c') as path: pd.DataFrame({'a': range(9999)}).to_parquet(path)\n"
        "def log(): files.append_line(place / 'b', lambda _: big.encode())\n"
        "for write in (lambda: files.write_text(place / 'a', big), log, table):\n"
        "    try: write()\n"
        "    except OSError as error: print(of_the_machine(error).message)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"cannot write {tmp_path / name}: File too large" for name in "abc"]


@pytest.mark.slow
def test_too_little_room_is_found_before_it_is_needed(tmp_path: Path) -> None:
    code = (
        "import resource, sys; from pathlib import Path; from wealtharena.files import require_writable\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)); require_writable(Path(sys.argv[1]))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "File too large" in done.stderr
    assert list(tmp_path.iterdir()) == []
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 1000


def test_a_temporary_folder_goes_with_its_block_and_what_a_kill_left_with_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files.tempfile, "tempdir", str(tmp_path))
    left, held, young, other = (tmp_path / f"wealtharena-{name}" for name in ("x-left", "x-held", "x-young", "y-other"))
    for folder in (left, held, young, other):
        (folder / "in").mkdir(parents=True)
        (folder / "in" / "it").touch()
    (tmp_path / "wealtharena-x-link").symlink_to(other)
    (tmp_path / "wealtharena-x-file").touch()
    for folder in (left, held, other):
        os.utime(folder, (0, 0))
    descriptor = files.hold_folder(held)
    with files.temporary_folder("x") as mine:
        os.utime(mine, (0, 0))
        with files.temporary_folder("x") as second:
            assert mine.is_dir()
            assert second != mine
        assert {path.name for path in tmp_path.iterdir() if path != mine} == {
            "wealtharena-x-held", "wealtharena-x-young", "wealtharena-y-other", "wealtharena-x-link", "wealtharena-x-file",
        }  # fmt: skip
    assert not mine.exists()
    assert (other / "in" / "it").exists()
    os.close(descriptor)


@pytest.mark.parametrize(("umask", "rights"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_who_may_write_a_log_is_what_the_umask_says(tmp_path: Path, umask: int, rights: int) -> None:
    before = os.umask(umask)
    try:
        add(tmp_path / "log.jsonl", {})
        (tmp_path / "other").write_text("")
    finally:
        os.umask(before)
    assert (tmp_path / "log.jsonl").stat().st_mode & 0o777 == rights
    assert (tmp_path / "other").stat().st_mode & 0o777 == rights


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("data.path=/home/al/bars.csv", "data.path=~/bars.csv"),
        ("data.path=/home/alice/bars.csv", "data.path=/home/alice/bars.csv"),
        ("/mnt/home/al/x and file:///home/al/x.", "/mnt/home/al/x and file://~/x."),
        ("in /home/al. 'line\\n/home/al/x' [/home/al,/home/al.old]", "in ~. 'line\\n~/x' [~,/home/al.old]"),
        ("paths=[{here}/a,{here}/b/{top}] /var{here}/c", "paths=[a,b/{top}] /var{here}/c"),
    ],
)
def test_only_a_path_that_begins_there_is_one_of_the_home_or_the_working_folder(
    text: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a command to be repeated /var/tmp/x/bars.csv, typed in /tmp/x, was /varbars.csv, and /home/alice ~ice of al."""
    monkeypatch.setenv("HOME", "/home/al")
    monkeypatch.chdir(tmp_path)
    place = {"here": tmp_path, "top": "top"}
    assert shown.without_places(text.format(**place)) == told.format(**place)
