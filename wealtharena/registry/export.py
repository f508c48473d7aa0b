"""From a torch policy to policy.onnx: scaling inside, raw features in, weights out. Only training imports this file.

The graph is the whole decision: scale and clip as the frozen scaler does, lay the observation out as the environment
does, run the network, take the mode, project onto the limits. Its batch is dynamic, and a network with memory takes its
state as an input and gives the next one back, so that the graph itself remembers nothing.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from wealtharena.envs.observation import account_width
from wealtharena.errors import CheckpointError
from wealtharena.registry.inference import SPREAD, STATE_IN, STATE_OUT

FloatArray = npt.NDArray[np.float64]

OPSET = 18  # of ONNX


@dataclass(frozen=True)
class ExportShape:
    """Sizes of what goes in: A symbols, bars of window, F features, and each carried state without its batch."""

    assets: int
    window: int
    features: int
    states: Mapping[str, tuple[int, ...]]
    spread: bool = False  # an ensemble also answers how far its members are apart


class ServedPolicy(nn.Module):
    """A decision from raw features; `core(observation [N, D], *states)` returns `(weights [N, A], *next states)`.

    An ensemble's core puts its spread [N] between the two, and so does this.

    Scaling agrees with the scaler's double precision at the cost of single: the mean is kept as the sum of two floats,
    since the difference of a feature and a mean far from zero would lose its digits. Mean and std are laid out over the
    whole observation, so that the runtime subtracts long rows and not F numbers at a time.
    """

    mean: Tensor
    mean_rest: Tensor
    inverse_std: Tensor

    def __init__(self, core: nn.Module, shape: ExportShape, *, mean: FloatArray, std: FloatArray, clip: float) -> None:
        super().__init__()
        self.core = core
        self.clip = float(clip)
        repeats = shape.assets * shape.window
        high = np.asarray(mean, dtype=np.float32)
        rest = np.asarray(mean, dtype=np.float64) - high
        self.has_rest = bool(np.any(np.abs(rest) > 1e-8 * np.asarray(std)))
        self.register_buffer("mean", torch.from_numpy(np.tile(high, repeats)))
        self.register_buffer("mean_rest", torch.from_numpy(np.tile(rest.astype(np.float32), repeats)))
        self.register_buffer(
            "inverse_std", torch.from_numpy(np.tile(1.0 / np.asarray(std), repeats).astype(np.float32))
        )

    def forward(self, features: Tensor, portfolio: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """Return weights [N, A] and the next states for features [N, A, window, F] and portfolio [N, A + 3]."""
        flat = features.flatten(1)
        centred = flat - self.mean
        if self.has_rest:
            centred = centred - self.mean_rest
        centred = torch.where(torch.isnan(flat), 0.0, centred)
        scaled = torch.clamp(centred * self.inverse_std, -self.clip, self.clip)
        answer = self.core(torch.cat([scaled, portfolio], dim=1), *states)
        weights, *following = answer if isinstance(answer, tuple) else (answer,)
        return (weights.to(torch.float32), *following)


def export_onnx(module: nn.Module, shape: ExportShape) -> bytes:
    """Return `module` (features, portfolio, *states in name order) as one self-contained ONNX graph.

    CheckpointError where torch cannot export it.
    """
    module = module.eval().cpu()
    names = sorted(shape.states)
    example = [torch.zeros(3, shape.assets, shape.window, shape.features), torch.zeros(3, account_width(shape.assets))]
    example += [torch.zeros(3, *shape.states[name]) for name in names]
    inputs = ["features", "portfolio", *(STATE_IN + name for name in names)]
    outputs = ["weights", *([SPREAD] if shape.spread else []), *(STATE_OUT + name for name in names)]
    proto = _trace(module, tuple(example), inputs, outputs)
    return _plain(proto)


def _trace(module: nn.Module, example: tuple[Tensor, ...], inputs: Sequence[str], outputs: Sequence[str]) -> bytes:
    """Record what the module does to the example, of which only the number of rows may differ later.

    A branch on the example's numbers would stand in the graph as it went: what `publish` proves afterwards is what
    refuses such a policy.
    """
    written = io.BytesIO()
    exporter = logging.getLogger("torch.onnx")
    level = exporter.level
    exporter.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # torch warns of its own deprecations while it exports
            torch.onnx.export(
                module,
                example,
                written,  # type: ignore[arg-type]  # tracing takes a buffer, whatever the signature says
                dynamo=False,
                opset_version=OPSET,
                input_names=list(inputs),
                output_names=list(outputs),
                dynamic_axes={name: {0: "batch"} for name in (*inputs, *outputs)},
            )
    except (torch.onnx.OnnxExporterError, RuntimeError) as error:
        raise CheckpointError("the policy cannot be exported to ONNX", hint=str(error).splitlines()[0][:200]) from error
    finally:
        exporter.setLevel(level)
    return written.getvalue()


def _plain(content: bytes) -> bytes:
    """Return the model without notes on where and how it was traced; refuse one that points to other files."""
    import onnx

    model = onnx.load_from_string(content)
    for tensor in model.graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            raise CheckpointError("policy.onnx: keeps weights outside itself", hint="export without external data")
    model.doc_string = ""
    del model.metadata_props[:]
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for function in model.functions:
        for node in function.node:
            node.doc_string = ""
            del node.metadata_props[:]
    return bytes(model.SerializeToString())
