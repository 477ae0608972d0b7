"""MLServer with its adaptive batching, configured in `model-settings.json`."""

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse

from benchmarks.peers.network import Network


class Sentiment(MLModel):
    """The only model; requests and answers use the V2 inference protocol."""

    async def load(self) -> bool:
        """Load the model."""
        self.network = Network()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Return the probability that each review of a batch is positive, float32 [reviews, 1]."""
        probabilities = np.array(self.network.run(StringCodec.decode_input(payload.inputs[0])), np.float32)
        output = NumpyCodec.encode_output("probability", probabilities[:, np.newaxis])
        return InferenceResponse(model_name=self.name, outputs=[output])
