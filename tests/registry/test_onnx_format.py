"""A model file is data: twenty hostile graphs, each refused by its name, none of them opened here."""

from __future__ import annotations

import contextlib
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.attacks import graphs
from benchmarks.attacks.graphs import HOSTILE, ON_TRIAL, Change
from tests.registry.shelf import FEATURES, WINDOW, constant_onnx
from wealtharena.errors import CheckpointError
from wealtharena.registry import onnx_trial
from wealtharena.registry.onnx_format import check_onnx
from wealtharena.registry.onnx_trial import together, try_out

SHAPES = {"features": [3, WINDOW, len(FEATURES)], "portfolio": [6]}


def changed(change: Change) -> bytes:
    return graphs.changed(constant_onnx((0.5, 0.2, 0.1)), change)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_graph_is_refused_by_its_name_unopened(name: str) -> None:
    with pytest.raises(CheckpointError, match=r"^v1/policy\.onnx: "):
        check_onnx(changed(HOSTILE[name]), where="v1/policy.onnx")


def test_a_second_graph_cannot_hide_behind_the_first() -> None:
    plain = constant_onnx((0.5, 0.2, 0.1))
    with pytest.raises(CheckpointError, match="one graph"):
        check_onnx(plain + plain, where="v1/policy.onnx")


@pytest.mark.slow
@given(st.binary(max_size=200), st.integers(0, 10_000), st.integers(0, 255))
@settings(max_examples=200)
def test_whatever_the_bytes_are_the_answer_is_ours(noise: bytes, at: int, other: int) -> None:
    plain = bytearray(constant_onnx((0.5, 0.2, 0.1)))
    plain[at % len(plain)] = other
    for content in (noise, bytes(plain), bytes(plain[: at % len(plain)]), bytes(plain) + noise):
        with contextlib.suppress(CheckpointError):  # any other error fails the test
            check_onnx(content, where="x")


@pytest.mark.slow
def test_a_graph_that_answers_passes_its_trial_and_others_harm_their_own_process_alone() -> None:
    assert try_out(constant_onnx((0.5, 0.2, 0.1)), SHAPES, 127) is None
    assert "Invalid" in str(try_out(constant_onnx((0.5, 0.2, 0.1)), {**SHAPES, "portfolio": [7]}, 127))
    assert try_out(b"nothing", SHAPES, 127) is not None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("numbers beyond single precision", "is not finite"),
        ("more memory than there is", ""),
        ("hours of multiplying", "signal"),
    ],
)
def test_a_graph_that_only_a_trial_shows_harms_its_own_process_alone(name: str, told: str) -> None:
    content = changed(ON_TRIAL[name])
    check_onnx(content, where="x")
    with together():
        found = try_out(content, SHAPES, 127)
        assert found is not None
        assert told in found
        assert try_out(constant_onnx((0.5, 0.2, 0.1)), SHAPES, 127) is None, (
            "the next one is tried as if nothing had been"
        )


def test_what_went_well_is_not_tried_again_and_a_failure_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_trial, "_passed", set())
    asked: list[bytes] = []
    answers = iter(["it hangs", None])

    def ask(_: object, order: object, content: bytes) -> str | None:
        asked.append(content)
        return next(answers)

    monkeypatch.setattr(onnx_trial._Trier, "ask", ask)
    content = constant_onnx((0.3, 0.3, 0.3))
    assert [try_out(content, SHAPES, 9) for _ in range(4)] == ["it hangs", None, None, None]
    assert asked == [content] * 2


@pytest.mark.slow
@pytest.mark.parametrize("content", [b"", b"{}\n", b"not json\n"])
def test_a_trier_that_is_gone_is_said_and_started_again(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(onnx_trial, "_passed", set())
    real = onnx_trial._started
    broken = subprocess.Popen(
        ["/bin/sh", "-c", f"head -c 10 >/dev/null; printf '{content.decode()}'"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    broken_first = [broken]
    monkeypatch.setattr(onnx_trial, "_started", lambda: broken_first.pop() if broken_first else real())
    graph = constant_onnx((0.4, 0.3, 0.3))
    with together():
        assert try_out(graph, SHAPES, 9) == "the process that tried it failed"
        assert try_out(graph, SHAPES, 9) is None


@pytest.mark.slow
def test_a_graph_is_tried_with_the_packages_of_the_one_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Installed by `pip install --user`, or on PYTHONPATH, no version could be saved: "find out who wrote it"."""
    bare = getattr(sys, "_base_executable", sys.executable)  # of a venv the Python that lacks its packages
    monkeypatch.setattr(sys, "executable", bare)
    assert try_out(constant_onnx((0.3, 0.3, 0.1)), SHAPES, 127) is None
