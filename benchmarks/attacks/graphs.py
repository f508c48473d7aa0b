"""Hostile ONNX files: for each, what it does to a graph that answers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Change = Callable[[onnx.ModelProto], None]


def changed(plain: bytes, change: Change) -> bytes:
    """Return a graph that answers, made hostile."""
    model = onnx.load_from_string(plain)
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


def _of_size(first: int, second: int, *, then: str) -> Change:
    """Return a change that makes a matrix of these sizes out of one number, and has it multiplied or looked through."""

    def change(model: onnx.ModelProto) -> None:
        model.graph.initializer.append(numpy_helper.from_array(np.array([first, second]), "size"))
        model.graph.node.insert(0, helper.make_node("Expand", ["zero", "size"], ["much"]))
        model.graph.node.insert(
            1, helper.make_node(then, *(["much", "much"],) if then == "MatMul" else (["much"],), ["more"])
        )
        model.graph.node.insert(2, helper.make_node("ReduceMax", ["more"], ["most"], keepdims=0))
        model.graph.node[-1].input[1] = "most"

    return change


def _overflowing(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.float32(3e38), "big"))
    model.graph.node[-1].input[1] = "big"
    model.graph.node.append(helper.make_node("Mul", ["weights", "big"], ["beyond"]))
    model.graph.output[0].name = "beyond"


# graphs of known operations, which only a trial shows for what they are
ON_TRIAL: dict[str, Change] = {
    "more memory than there is": _of_size(1 << 20, 1 << 12, then="Identity"),
    "hours of multiplying": _of_size(1 << 13, 1 << 13, then="MatMul"),
    "numbers beyond single precision": _overflowing,
}
