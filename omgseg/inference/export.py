"""Writes a model as ONNX, and compares what ONNX Runtime gives with PyTorch."""

from __future__ import annotations

import json
import logging
import os
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from omgseg.inference.abilities import UnsupportedRequest
from omgseg.inference.running import locked
from omgseg.protocols import Exportable, ExportGraph

OPSET = 18
"""Of ONNX: that in which PyTorch's exporter writes its operators."""
TOLERANCE = 1e-4
"""Largest deviation of ONNX Runtime from PyTorch, in units of the largest value of an output."""
DESCRIPTION = "export.json"


class ExportError(RuntimeError):
    """The exported model does not compute what PyTorch computes."""


class ExportedGraph(NamedTuple):
    """A file of an export.

    Attributes:
        file: its name in the folder.
        deviation: the largest difference from PyTorch of each output by its name.
        largest: the largest absolute value of each output by its name.
    """

    file: str
    deviation: dict[str, float]
    largest: dict[str, float]


def export_onnx(
    model: Any, folder: str | Path, source: Mapping[str, Any] | None = None
) -> list[ExportedGraph]:
    """Write a model as ONNX, one file a part, and ``export.json``, which describes inputs and outputs.

    The folder gets its name when all is written and compared, so it never holds half an export.

    Args:
        model: a loaded model, see :func:`omgseg.load`, in float32.
        folder: must not exist.
        source: written into ``export.json``, e.g. where config and weights are from.

    Returns:
        The ONNX files, with what the comparison found.

    Raises:
        UnsupportedRequest: the model cannot be exported.
        FileExistsError: the folder exists.
        ImportError: a package of the extra ``export`` is missing.
        ExportError: ONNX Runtime does not compute what PyTorch computes.
    """
    if not isinstance(model, Exportable):
        raise UnsupportedRequest("export", model)
    _require_packages()
    folder = Path(folder)
    if folder.exists():
        raise FileExistsError(f"{folder} exists; give another folder, or remove it")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as parent:
        written = Path(parent) / folder.name
        written.mkdir()
        with locked(model), torch.no_grad():
            graphs = model.export_graphs()
            exported = [_export(graph, written) for graph in graphs]
        content = {
            **(source or {}),
            "opset": OPSET,
            "image_size": model.abilities.test_size,
            "graphs": [_described(graph, written) for graph in graphs],
        }
        (written / DESCRIPTION).write_text(json.dumps(content, indent=2) + "\n")
        os.rename(written, folder)
    return exported


def _require_packages() -> None:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"the export needs onnx, onnxscript and onnxruntime ({error}): pip install 'omgseg[export]'"
        ) from error


def _export(graph: ExportGraph, folder: Path) -> ExportedGraph:
    """Write and compare one file."""
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass

    # before tracing: some modules of timm keep what their first call computed, which must not be a traced tensor
    expected = [_as_arrays(graph.module(*call)) for call in graph.calls]
    logging.getLogger("onnxscript").setLevel(
        logging.ERROR
    )  # it warns of each operator that it cannot simplify
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's own, of names of axes that several inputs share
        program = torch.onnx.export(
            graph.module,
            tuple(graph.calls[0]),
            dynamo=True,
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            dynamic_shapes=tuple(graph.axes.get(name) for name in graph.inputs),
            opset_version=OPSET,
            verbose=False,
        )
    ClearMetadataAndDocStringPass()(program.model)  # a stack trace a node, with paths of this machine
    file = folder / f"{graph.name}.onnx"
    program.save(file)  # above 2 GB, the limit of a file of protobuf, weights are in a second file
    del program
    return _compared(graph, file, expected)


def _compared(graph: ExportGraph, file: Path, expected: Sequence[Sequence[np.ndarray]]) -> ExportedGraph:
    """Run a file on the calls of its graph.

    Raises:
        ExportError: a result is not the expected one.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    deviation, largest = dict.fromkeys(graph.outputs, 0.0), dict.fromkeys(graph.outputs, 0.0)
    for call, wanted in zip(graph.calls, expected, strict=True):
        found = session.run(None, dict(zip(graph.inputs, _as_arrays(tuple(call)), strict=True)))
        for name, ours, theirs in zip(graph.outputs, found, wanted, strict=True):
            if ours.shape != theirs.shape:
                raise ExportError(f"{file.name}: {name} has the shape {ours.shape}, PyTorch's {theirs.shape}")
            # not max(), which would drop a NaN
            deviation[name] = float(np.maximum(deviation[name], np.abs(ours - theirs).max()))
            largest[name] = float(np.maximum(largest[name], np.abs(theirs).max()))
    for name in graph.outputs:
        if not deviation[name] <= TOLERANCE * largest[name]:  # also if it is not a number
            raise ExportError(
                f"{file.name}: {name} of ONNX Runtime differs from PyTorch's by {deviation[name]:.2g}, for values "
                f"up to {largest[name]:.2g}; at most {TOLERANCE:g} of the largest value is allowed; nothing was written"
            )
    return ExportedGraph(file.name, deviation, largest)


def _as_arrays(tensors: torch.Tensor | tuple[torch.Tensor, ...]) -> list[np.ndarray]:
    listed = tensors if isinstance(tensors, tuple) else (tensors,)
    return [tensor.cpu().numpy() for tensor in listed]


def _described(graph: ExportGraph, folder: Path) -> dict[str, Any]:
    """A file's entry in ``export.json``; types and shapes are the file's own."""
    import onnx

    model = onnx.load(folder / f"{graph.name}.onnx", load_external_data=False).graph

    def values(declared: Sequence[onnx.ValueInfoProto], meanings: Mapping[str, str]) -> list[dict[str, Any]]:
        return [
            {
                "name": value.name,
                "type": onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).name,
                "shape": [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim],
                "meaning": meanings[value.name],
            }
            for value in declared
        ]

    return {
        "file": f"{graph.name}.onnx",
        "inputs": values(model.input, graph.inputs),
        "outputs": values(model.output, graph.outputs),
    }
