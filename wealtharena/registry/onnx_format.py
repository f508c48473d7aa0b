"""A policy.onnx looked at before any runtime sees it: known operations on bounded, finite numbers, and nothing besides.

The file is read by its wire format alone, with a list of the fields that may occur: external data, subgraphs, functions,
training information and whatever a later version of the format adds are refused for being unknown. Sizes of results can
depend on the size of a batch only, never on a value that a client sends.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np

from wealtharena.errors import CheckpointError

MAX_NODES = 20_000
MAX_ELEMENTS = 1 << 26
_DOMAINS = ("", "ai.onnx")
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_KINDS = {1: "<f4", 10: "<f2", 11: "<f8", 6: "<i4", 7: "<i8", 9: "?"}  # TensorProto.DataType that may occur
_MODEL = {1: "ir", 2: "text", 3: "text", 4: "text", 5: "text", 6: "text", 7: "graph", 8: "opset", 14: "note"}
_GRAPH = {1: "node", 2: "text", 5: "tensor", 10: "text", 11: "value", 12: "value", 13: "value", 16: "note"}
_NODE = {1: "input", 2: "output", 3: "text", 4: "op", 5: "attribute", 6: "text", 7: "domain", 9: "note"}
_ATTRIBUTE = {
    1: "name",
    2: "number",
    3: "number",
    4: "text",
    5: "tensor",
    7: "number",
    8: "number",
    13: "text",
    20: "type",
}
_TENSOR = {
    1: "dims",
    2: "kind",
    4: "floats",
    5: "ints",
    7: "ints",
    8: "name",
    9: "raw",
    10: "doubles",
    12: "text",
    16: "note",
}
_OPSET = {1: "domain", 2: "version"}
_OPERATIONS = frozenset(
    [
        "Abs",
        "Add",
        "And",
        "ArgMax",
        "ArgMin",
        "Cast",
        "Ceil",
        "Clip",
        "Concat",
        "Constant",
        "ConstantOfShape",
        "CumSum",
        "Div",
        "Elu",
        "Equal",
        "Erf",
        "Exp",
        "Expand",
        "Flatten",
        "Floor",
        "GRU",
        "Gather",
        "GatherElements",
        "GatherND",
        "Gelu",
        "Gemm",
        "Greater",
        "GreaterOrEqual",
        "HardSigmoid",
        "Identity",
        "IsInf",
        "IsNaN",
        "LSTM",
        "LayerNormalization",
        "LeakyRelu",
        "Less",
        "LessOrEqual",
        "Log",
        "LogSoftmax",
        "MatMul",
        "Max",
        "Mean",
        "Min",
        "Mul",
        "Neg",
        "Not",
        "OneHot",
        "Or",
        "Pow",
        "Range",
        "Reciprocal",
        "ReduceL1",
        "ReduceL2",
        "ReduceLogSumExp",
        "ReduceMax",
        "ReduceMean",
        "ReduceMin",
        "ReduceProd",
        "ReduceSum",
        "ReduceSumSquare",
        "Relu",
        "Reshape",
        "Round",
        "Shape",
        "Sigmoid",
        "Sign",
        "Slice",
        "Softmax",
        "Softplus",
        "Softsign",
        "Split",
        "Sqrt",
        "Squeeze",
        "Sub",
        "Sum",
        "Tanh",
        "Tile",
        "TopK",
        "Transpose",
        "Trilu",
        "Unsqueeze",
        "Where",
        "Xor",
    ]
)
# operands that decide the size of a result, by operation
_SIZES = {
    "Reshape": (1,), "Expand": (1,), "Tile": (1,), "ConstantOfShape": (0,), "Range": (0, 1, 2), "Slice": (1, 2, 3, 4),
    "Split": (1,), "OneHot": (1,), "TopK": (1,), "Unsqueeze": (1,), "Squeeze": (1,),
}  # fmt: skip

Field = tuple[int, int, int, memoryview]  # number, wire type, integer value, bytes


def check_onnx(content: bytes, *, where: str) -> None:
    """Raise CheckpointError, naming `where`, for a graph that is anything but bounded arithmetic."""
    try:
        _check_model(memoryview(content))
    except (ValueError, IndexError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{where}: {error}", hint="do not serve it; find out who wrote it") from error


def _check_model(content: memoryview) -> None:
    graphs = []
    for name, _, value in _known(content, _MODEL, "the model"):
        if name == "graph":
            graphs.append(value)
        if name == "opset":
            domains = [_text(part) for kind, _, part in _known(value, _OPSET, "an operator set") if kind == "domain"]
            if any(domain not in _DOMAINS for domain in domains):
                raise ValueError(f"uses the operators of {domains[0][:64]!r}")
    if len(graphs) != 1:
        raise ValueError("is not a model with one graph")
    _check_graph(graphs[0])


def _check_graph(content: memoryview) -> None:
    fixed: set[str] = set()  # values that no client's number reaches
    nodes = []
    for name, _, value in _known(content, _GRAPH, "the graph"):
        if name == "tensor":
            fixed.add(_check_tensor(value))
        elif name == "node":
            nodes.append(value)
    if not 0 < len(nodes) <= MAX_NODES:
        raise ValueError(f"has {len(nodes)} operations, from 1 to {MAX_NODES} are taken")
    for node in nodes:
        _check_node(node, fixed)


def _check_node(content: memoryview, fixed: set[str]) -> None:
    inputs: list[str] = []
    outputs: list[str] = []
    operation = ""
    for name, _, value in _known(content, _NODE, "an operation"):
        if name == "input":
            inputs.append(_text(value))
        elif name == "output":
            outputs.append(_text(value))
        elif name == "op":
            operation = _text(value)
        elif name == "domain" and _text(value) not in _DOMAINS:
            raise ValueError(f"uses an operation of {_text(value)[:64]!r}")
        elif name == "attribute":
            for kind, _, part in _known(value, _ATTRIBUTE, "an attribute"):
                if kind == "tensor":
                    _check_tensor(part)
    if operation not in _OPERATIONS:
        raise ValueError(f"uses {operation[:64]!r}, which is not among the operations of a policy")
    for place in _SIZES.get(operation, ()):
        if place < len(inputs) and inputs[place] and inputs[place] not in fixed:
            raise ValueError(f"lets a value decide the size of what {operation} makes")
    if operation in ("Shape", "Constant") or (inputs and all(not name or name in fixed for name in inputs)):
        fixed.update(outputs)


def _check_tensor(content: memoryview) -> str:
    """Return the name of a tensor of bounded size whose numbers are finite."""
    label, kind, dims = "", 0, []
    numbers: list[tuple[str, memoryview]] = []
    for name, integer, value in _known(content, _TENSOR, "a tensor"):
        if name == "dims":
            dims += [integer] if not value else list(_varints(value))
        elif name == "kind":
            kind = integer
        elif name == "name":
            label = _text(value)
        elif name in ("raw", "floats", "doubles"):
            numbers.append((name, value))
    if kind not in _KINDS:
        raise ValueError(f"tensor {label[:64]!r} is of type {kind}, which a policy has not")
    if math.prod(dims) > MAX_ELEMENTS or any(size > MAX_ELEMENTS for size in dims):
        raise ValueError(f"tensor {label[:64]!r} has more than {MAX_ELEMENTS} numbers")
    for name, value in numbers:
        form = {"raw": _KINDS[kind], "floats": "<f4", "doubles": "<f8"}[name]
        found = np.frombuffer(value, dtype=form)  # ValueError where the bytes are no whole numbers
        if name == "raw" and found.size != math.prod(dims):
            raise ValueError(f"tensor {label[:64]!r} has {found.size} numbers for its shape {dims}")
        if found.dtype.kind == "f" and not np.isfinite(found).all():
            raise ValueError(f"tensor {label[:64]!r} holds a number that is not finite")
    return label


def _known(content: memoryview, names: Mapping[int, str], what: str) -> Iterator[tuple[str, int, memoryview]]:
    """Yield name, integer and bytes of each field; ValueError for one that is not among `names`."""
    for number, _, integer, value in _fields(content):
        if number not in names:
            raise ValueError(f"{what} has a field {number} that a policy needs not")
        yield names[number], integer, value


def _fields(content: memoryview) -> Iterator[Field]:
    at, end = 0, len(content)
    while at < end:
        key, at = _varint(content, at)
        wire, integer, start = key & 7, 0, at
        if wire == _VARINT:
            integer, at = _varint(content, at)
            yield key >> 3, wire, integer, content[:0]
            continue
        if wire == _BYTES:
            size, start = _varint(content, at)
            at = start + size
        elif wire in (_FIXED32, _FIXED64):
            at = start + (4 if wire == _FIXED32 else 8)
        else:
            raise ValueError("is not an ONNX model")
        if at > end:
            raise ValueError("is not an ONNX model: it ends too early")
        yield key >> 3, wire, 0, content[start:at]


def _varint(content: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("is not an ONNX model")


def _varints(content: memoryview) -> Iterator[int]:
    at = 0
    while at < len(content):
        value, at = _varint(content, at)
        yield value


def _text(value: memoryview) -> str:
    return bytes(value).decode("utf-8")
