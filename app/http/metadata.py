"""Descriptions of the service and its models in the Open Inference Protocol. Free of FastAPI.

Sources: see `app.http.inference`; the configuration is a part of
https://github.com/triton-inference-server/common/blob/main/protobuf/model_config.proto
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel, StrictBool

from app.tasks.base import with_example

EXTENSIONS = ("binary_tensor_data", "model_configuration", "model_repository", "statistics")


class ServerMetadata(BaseModel):
    """What answers, and the extensions of the protocol that it knows."""

    model_config = with_example({"name": "lstm-serve", "version": "1.0.0", "extensions": [*EXTENSIONS]})

    name: str
    version: str
    extensions: list[str]


class Live(BaseModel):
    """The process is alive."""

    model_config = with_example({"live": True})

    live: Literal[True] = True


class Ready(BaseModel):
    """The service can answer."""

    model_config = with_example({"ready": True})

    ready: Literal[True] = True


class ModelReady(BaseModel):
    """A model can answer."""

    model_config = with_example({"name": "sentiment", "ready": True})

    name: str
    ready: Literal[True] = True


class TensorMetadata(BaseModel):
    """A tensor of a model; an axis of -1 may have any size."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(BaseModel):
    """The tensors of a model. A request has one of the inputs."""

    model_config = with_example(
        {
            "name": "sentiment",
            "versions": ["1"],
            "platform": "onnx_onnxv1",
            "inputs": [
                {"name": "text", "datatype": "BYTES", "shape": [-1]},
                {"name": "ids", "datatype": "INT32", "shape": [-1, -1]},
            ],
            "outputs": [
                {"name": "probabilities", "datatype": "FP32", "shape": [-1, 1]},
                {"name": "label", "datatype": "BYTES", "shape": [-1]},
                {"name": "is_readable", "datatype": "BOOL", "shape": [-1]},
            ],
        }
    )

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class ConfigInput(BaseModel):
    """An input of a model, as Triton describes it."""

    name: str
    data_type: str
    dims: list[int]
    optional: bool


class ConfigOutput(BaseModel):
    """An output of a model, as Triton describes it."""

    name: str
    data_type: str
    dims: list[int]


class ModelConfig(BaseModel):
    """The part of Triton's model configuration that applies here."""

    model_config = ConfigDict(
        protected_namespaces=(),
        **with_example(
            {
                "name": "sentiment",
                "platform": "onnx_onnxv1",
                "max_batch_size": 0,
                "input": [{"name": "text", "data_type": "TYPE_STRING", "dims": [-1], "optional": False}],
                "output": [{"name": "label", "data_type": "TYPE_STRING", "dims": [-1]}],
                "parameters": {"max_batch": {"string_value": "128"}},
            }
        ),
    )

    name: str
    platform: str
    max_batch_size: Literal[0] = Field(default=0, description="0: shapes are complete, they have the axis of inputs.")
    input: list[ConfigInput]
    output: list[ConfigOutput]
    parameters: dict[str, dict[Literal["string_value"], str]]


class Duration(BaseModel):
    """How often something was done, and the nanoseconds of all times together."""

    count: int = 0
    ns: int = 0


class InferenceStatistics(BaseModel):
    """The durations of requests and their parts; parts that the service does not measure are 0."""

    success: Duration = Field(description="Requests that were answered, from the queue to the outputs.")
    fail: Duration = Field(description="Requests that failed in between.")
    queue: Duration = Field(description="Inputs that waited for their batches.")
    compute_input: Duration = Duration()
    compute_infer: Duration = Field(description="Batches.")
    compute_output: Duration = Duration()
    cache_hit: Duration = Duration()
    cache_miss: Duration = Duration()


class ModelStatistics(BaseModel):
    """What the process that answers has done with a model since it was loaded."""

    name: str
    version: str
    last_inference: int = Field(description="Milliseconds since 1970; 0 if there was none.")
    inference_count: int = Field(description="Inputs that were answered.")
    execution_count: int = Field(description="Batches that were run.")
    inference_stats: InferenceStatistics


class Statistics(BaseModel):
    """The statistics of models."""

    model_config = with_example({"model_stats": []})

    model_stats: list[ModelStatistics]


class IndexRequest(BaseModel):
    """Which models to list."""

    model_config = with_example({"ready": True})

    ready: StrictBool = Field(default=False, description="Whether to list only models that can answer.")


class IndexEntry(BaseModel):
    """A model and its state."""

    name: str
    version: str = Field(default="", description="Empty if the model cannot answer.")
    state: Literal["READY", "UNAVAILABLE"]
    reason: str = Field(default="", description="Why the model cannot answer.")


class Index(RootModel[list[IndexEntry]]):
    """The models of the service."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                [
                    {"name": "sentiment", "version": "1", "state": "READY", "reason": ""},
                    {
                        "name": "my-sentiment",
                        "version": "",
                        "state": "UNAVAILABLE",
                        "reason": "its manifest was edited",
                    },
                ]
            ]
        }
    )
