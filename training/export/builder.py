"""An ONNX graph that is built node by node; internal nodes and constants get automatic names."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray
from onnx import helper, numpy_helper

OPSET = 21
IR_VERSION = 10  # the file format of ONNX 1.16, which brought this opset


class Builder:
    """Collects the nodes and the constants of a graph."""

    def __init__(self) -> None:
        """Begin with an empty graph."""
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}

    def add(self, operation: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Add a node with one output, and return the output's name."""
        name = output or f"{operation.lower()}_{len(self._nodes)}"
        self.add_of_many(operation, inputs, [name], **attributes)
        return name

    def add_of_many(self, operation: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> None:
        """Add a node with named outputs; an empty name leaves an input out."""
        self._nodes.append(helper.make_node(operation, list(inputs), list(outputs), **attributes))

    def constant(self, array: NDArray[Any], name: str | None = None) -> str:
        """Return the name of a constant; it is added unless one with the same contents exists."""
        array = np.ascontiguousarray(array)
        for known, tensor in self._constants.items():
            found = numpy_helper.to_array(tensor)
            if found.dtype == array.dtype and found.shape == array.shape and np.array_equal(found, array):
                return known
        name = name if name and name not in self._constants else f"constant_{len(self._constants)}"
        self._constants[name] = numpy_helper.from_array(array, name)
        return name

    def integers(self, *numbers: int) -> str:
        """Return the name of a constant, int64 [numbers]: the axes or the shape that an operation takes."""
        return self.constant(np.array(numbers, np.int64))

    def number(self, value: ArrayLike, dtype: type[np.generic]) -> str:
        """Return the name of a constant, []."""
        return self.constant(np.array(value, dtype))

    def build(self, inputs: Sequence[onnx.ValueInfoProto], outputs: Sequence[onnx.ValueInfoProto]) -> onnx.ModelProto:
        """Return the model, checked by ONNX."""
        graph = helper.make_graph(self._nodes, "lstm-serve", inputs, outputs, list(self._constants.values()))
        imports = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=imports, ir_version=IR_VERSION, producer_name="lstm-serve")
        onnx.checker.check_model(model, full_check=True)
        return model
