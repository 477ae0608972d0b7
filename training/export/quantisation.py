"""8-bit weights for the LSTMs of a graph."""

from pathlib import Path
from tempfile import TemporaryDirectory

import keras
import onnx
from onnx import helper

from training.export.values import Graph


def has_vectors_of_8_bits(network: keras.Model) -> bool:
    """Return whether the word vectors of a network have 8 bits."""
    return any(isinstance(layer, keras.layers.Embedding) and layer.quantization_mode for layer in network.layers)


def quantise(graph: Graph) -> onnx.ModelProto:
    """Return a graph with anchors whose LSTMs have 8-bit weights.

    Only 7 of the 8 bits are used: processors without instructions for 8-bit products add up pairs of them in 16 bits,
    which would overflow. Every output of a matrix has a scale of its own, which gains more than the lost bit costs.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    # Without this it logs advice to simplify the graph first, although there is nothing to simplify.
    helper.set_model_props(graph.model, {"onnx.quant.pre_process": "onnxruntime.quant"})
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        quantize_dynamic(
            graph.model,
            path,
            op_types_to_quantize=["LSTM"],
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
        )
        return onnx.load(path)
