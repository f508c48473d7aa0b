"""A model file is data: twenty hostile graphs, each refused by its name, none of them opened here."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from tests.registry.shelf import FEATURES, WINDOW, constant_onnx
from wealtharena.errors import CheckpointError
from wealtharena.registry.onnx_format import check_onnx
from wealtharena.registry.onnx_trial import try_out

SHAPES = {"features": [3, WINDOW, len(FEATURES)], "portfolio": [6]}
Change = Callable[[onnx.ModelProto], None]


def changed(change: Change) -> bytes:
    model = onnx.load_from_string(constant_onnx((0.5, 0.2, 0.1)))
    change(model)
    return bytes(model.SerializeToString())


def external(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[-1]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../serve_keys.json")


def subgraph(kind: str) -> Change:
    def change(model: onnx.ModelProto) -> None:
        body = helper.make_graph([helper.make_node("Identity", ["a"], ["b"])], "body", [], [])
        attributes = {"then_branch": body, "else_branch": body} if kind == "If" else {"body": body}
        model.graph.node.insert(0, helper.make_node(kind, ["one"], ["x"], **attributes))

    return change


def node(*given: object, **attributes: object) -> Change:
    return lambda model: model.graph.node.insert(0, helper.make_node(*given, **attributes))


def number(value: float) -> Change:
    def change(model: onnx.ModelProto) -> None:
        array = np.array([value, 0.0, 0.0], dtype=np.float32)
        model.graph.initializer[-1].CopyFrom(numpy_helper.from_array(array, "base"))

    return change


def attributed(model: onnx.ModelProto) -> None:
    value = numpy_helper.from_array(np.array([np.nan], dtype=np.float32))
    model.graph.node.insert(0, helper.make_node("Constant", [], ["x"], value=value))


def function(model: onnx.ModelProto) -> None:
    body = [helper.make_node("Identity", ["a"], ["b"])]
    model.functions.append(helper.make_function("d", "f", ["a"], ["b"], body, [helper.make_opsetid("", 18)]))


def claimed(model: onnx.ModelProto) -> None:
    model.graph.initializer[-1].dims[:] = [1 << 40]


def sized_by_a_client(model: onnx.ModelProto) -> None:
    model.graph.node.insert(0, helper.make_node("Cast", ["portfolio"], ["size"], to=TensorProto.INT64))
    model.graph.node.insert(1, helper.make_node("Expand", ["base", "size"], ["x"]))


HOSTILE: dict[str, Change] = {
    "external data": external,
    "a loop": subgraph("Loop"),
    "a scan": subgraph("Scan"),
    "a branch": subgraph("If"),
    "a foreign domain": node("Gemm", ["a"], ["x"], domain="com.microsoft"),
    "an unknown operation": node("OptionalGetElement", ["one"], ["x"]),
    "a random operation": node("RandomNormal", [], ["x"], shape=[1]),
    "a sequence": node("SequenceConstruct", ["one"], ["x"]),
    "a text": node("StringNormalizer", ["one"], ["x"]),
    "a file of texts": node("TfIdfVectorizer", ["one"], ["x"]),
    "a function": function,
    "a foreign operator set": lambda model: model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3)),
    "training": lambda model: model.training_info.add(),
    "a sparse tensor": lambda model: model.graph.sparse_initializer.add(),
    "a weight of NaN": number(float("nan")),
    "a weight of infinity": number(float("inf")),
    "an attribute of NaN": attributed,
    "a claimed size": claimed,
    "texts as weights": lambda model: model.graph.initializer.append(
        helper.make_tensor("t", TensorProto.STRING, [1], [b"x"])
    ),
    "a size by a client's value": sized_by_a_client,
    "no operation": lambda model: model.graph.ClearField("node"),
    "no graph": lambda model: model.ClearField("graph"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_graph_is_refused_by_its_name_unopened(name: str) -> None:
    with pytest.raises(CheckpointError, match=r"^v1/policy\.onnx: "):
        check_onnx(changed(HOSTILE[name]), where="v1/policy.onnx")


def test_a_second_graph_cannot_hide_behind_the_first() -> None:
    plain = constant_onnx((0.5, 0.2, 0.1))
    with pytest.raises(CheckpointError, match="one graph"):
        check_onnx(plain + plain, where="v1/policy.onnx")


@given(st.binary(max_size=200), st.integers(0, 10_000), st.integers(0, 255))
@settings(max_examples=200, deadline=None)
def test_whatever_the_bytes_are_the_answer_is_ours(noise: bytes, at: int, other: int) -> None:
    plain = bytearray(constant_onnx((0.5, 0.2, 0.1)))
    plain[at % len(plain)] = other
    for content in (noise, bytes(plain), bytes(plain[: at % len(plain)]), bytes(plain) + noise):
        with contextlib.suppress(CheckpointError):  # any other error fails the test
            check_onnx(content, where="x")


def test_a_graph_that_answers_passes_its_trial_and_others_harm_their_own_process_alone() -> None:
    assert try_out(constant_onnx((0.5, 0.2, 0.1)), SHAPES, 127) is None
    assert "Invalid" in str(try_out(constant_onnx((0.5, 0.2, 0.1)), {**SHAPES, "portfolio": [7]}, 127))
    assert try_out(b"nothing", SHAPES, 127) is not None

    def overflowing(model: onnx.ModelProto) -> None:
        model.graph.initializer.append(numpy_helper.from_array(np.float32(3e38), "big"))
        model.graph.node[-1].input[1] = "big"
        model.graph.node.append(helper.make_node("Mul", ["weights", "big"], ["beyond"]))
        model.graph.output[0].name = "beyond"

    assert "is not finite" in str(try_out(changed(overflowing), SHAPES, 127))

    def greedy(model: onnx.ModelProto) -> None:
        model.graph.initializer.append(numpy_helper.from_array(np.array([1 << 20, 1 << 12, 1]), "size"))
        model.graph.node.insert(0, helper.make_node("Expand", ["zero", "size"], ["much"]))
        model.graph.node.insert(1, helper.make_node("ReduceMax", ["much"], ["most"], keepdims=0))
        model.graph.node[-1].input[1] = "most"

    check_onnx(changed(greedy), where="x")
    assert try_out(changed(greedy), SHAPES, 127) is not None
