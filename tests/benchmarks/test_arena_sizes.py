"""A graph or a model in the arena that reads something else than rows of observations does not fit, in words of ours."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from gymnasium import spaces
from onnx import TensorProto, helper

from benchmarks.arena import entries

SIZE = 3


def taking(path: Path, kind: int, shape: list[int | str | None]) -> Path:
    """A graph that gives back what it reads, of that type and shape."""
    seen, told = (helper.make_tensor_value_info(name, kind, shape) for name in ("seen", "told"))
    made = helper.make_graph([helper.make_node("Identity", ["seen"], ["told"])], "policy", [seen], [told])
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), str(path))
    return path


@pytest.mark.parametrize(
    ("kind", "shape", "said"),
    [(TensorProto.DOUBLE, ["N", 3], "reads tensor(double), and observations are float32"),
     (TensorProto.FLOAT, [8, 3], "reads [8, 3], and observations come one at a time, as [1, 3]"),
     (TensorProto.FLOAT, [1, 8, 3], "reads [1, 8, 3], and observations"), (TensorProto.FLOAT, [3], "reads [3], and"),
     (TensorProto.FLOAT, ["N", 4], "reads 4 numbers, this market shows 3"),
     *((TensorProto.FLOAT, shape, "") for shape in (["N", 3], [None, 3], [1, 3], ["N", "D"]))],
)  # fmt: skip
def test_a_graph_that_takes_no_row_of_observations_does_not_fit(
    tmp_path: Path, kind: int, shape: list[int | str | None], said: str
) -> None:
    path = taking(tmp_path / "policy.onnx", kind, shape)
    if not said:
        row = np.ones((1, SIZE), np.float32)
        np.testing.assert_array_equal(entries._graph(path, SIZE)(row), row)
        return
    with pytest.raises(entries.DoesNotFitError, match=re.escape(said)):
        entries._graph(path, SIZE)


@pytest.mark.parametrize(
    ("space", "said"),
    [(spaces.Dict({"x": spaces.Box(-1.0, 1.0, (3,))}), "saved.zip reads Dict("),
     (spaces.Discrete(7), "saved.zip reads Discrete(7), this market shows 3 numbers in a row"),
     (spaces.Box(-1.0, 1.0, (8, 3)), "saved.zip reads Box(-1.0, 1.0, (8, 3), float32), this market"),
     (spaces.Box(-1.0, 1.0, (4,)), "saved.zip reads 4 numbers, this market shows 3")],
)  # fmt: skip
def test_a_model_that_reads_no_row_of_observations_does_not_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, space: spaces.Space, said: str
) -> None:
    saved = SimpleNamespace(observation_space=space)
    monkeypatch.setattr(entries, "_algorithm", lambda _: SimpleNamespace(load=lambda *_, **__: saved))
    kind = SimpleNamespace(layout=SimpleNamespace(size=SIZE))
    with pytest.raises(entries.DoesNotFitError, match=re.escape(said)):
        entries._model(tmp_path / "saved.zip", "PPO", lambda n: SimpleNamespace(actions=kind))
