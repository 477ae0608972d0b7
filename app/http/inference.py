"""Requests and answers of the Open Inference Protocol, version 2, with Triton's extensions. Free of FastAPI.

Sources: https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md and
https://github.com/triton-inference-server/server/tree/main/docs/protocol
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr
from pydantic.functional_validators import AfterValidator
from pydantic_core import PydanticCustomError

from app.tasks.base import expect, with_example

MOST_ELEMENTS = 2**31  # along an axis
MOST_INTEGER = 2**63 - 1
MOST_OUTPUTS = 16  # more than any model has
# Values in JSON. To parse more takes too long for the thread of the event loop; larger tensors can come as bytes.
MOST_VALUES = 100_000

_SEQUENCE = "the service keeps no state between requests; send each sequence as a whole, without sequence parameters"
_MEMORY = "the service shares no memory with clients; send tensors in the body"
_CLASSIFICATION = "the service does not rank classes here; read the outputs probabilities and label"


def _check_characters(text: str) -> str:
    """Return a text that is to be repeated in the answer, which must be one in UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise PydanticCustomError(
            "characters", "the text has half of a surrogate pair, which is no character; send characters"
        ) from error
    return text


def _refuse(kind: Literal["sequence", "shared_memory", "classification"], why: str) -> AfterValidator:
    """Return a validator that refuses every value but those that mean nothing."""

    def refuse(value: object) -> object:
        if value:
            raise PydanticCustomError(kind, why)
        return value

    return AfterValidator(refuse)


class RequestParameters(BaseModel):
    """Parameters of a request; others are ignored."""

    timeout: StrictInt = Field(
        default=0, ge=0, le=MOST_INTEGER, description="Microseconds for the request; 0 for the service's own deadline."
    )
    priority: StrictInt = Field(default=0, ge=0, description="Ignored: the service has one level.")
    binary_data_output: StrictBool = Field(default=False, description="Whether outputs are binary by default.")
    sequence_id: Annotated[StrictInt | StrictStr, expect("0 or empty"), _refuse("sequence", _SEQUENCE)] = Field(
        default=0, description="Only 0 or empty: the service keeps no state between requests."
    )
    sequence_start: Annotated[StrictBool, _refuse("sequence", _SEQUENCE)] = Field(default=False)
    sequence_end: Annotated[StrictBool, _refuse("sequence", _SEQUENCE)] = Field(default=False)


class InputParameters(BaseModel):
    """Parameters of an input; others are ignored."""

    binary_data_size: StrictInt | None = Field(default=None, ge=0, description="Bytes of the tensor after the JSON.")
    shared_memory_region: Annotated[StrictStr | None, _refuse("shared_memory", _MEMORY)] = None


class OutputParameters(BaseModel):
    """Parameters of an output; others are ignored."""

    binary_data: StrictBool | None = Field(default=None, description="Whether the output is binary.")
    classification: Annotated[StrictInt | None, _refuse("classification", _CLASSIFICATION)] = None
    shared_memory_region: Annotated[StrictStr | None, _refuse("shared_memory", _MEMORY)] = None


class RequestInput(BaseModel):
    """A tensor with the inputs of a request."""

    name: StrictStr
    shape: list[Annotated[int, Field(strict=True, ge=1, le=MOST_ELEMENTS)]] = Field(
        min_length=1, max_length=2, description="The inputs first: [2] for two texts, [2, 100] for two rows of 100 ids."
    )
    datatype: StrictStr = Field(description="`BYTES` for texts in UTF-8, `INT32` or another integer type for ids.")
    parameters: InputParameters = InputParameters()
    data: Annotated[list[Any], Field(max_length=MOST_VALUES)] | None = Field(
        default=None, description="The elements, flat or in lists of the shape; not with `binary_data_size`."
    )


class RequestedOutput(BaseModel):
    """An output that the answer has to have."""

    name: StrictStr
    parameters: OutputParameters = OutputParameters()


class InferenceRequest(BaseModel):
    """A request for inference. Fields that the protocol does not know are ignored."""

    model_config = with_example(
        {
            "id": "42",
            "inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["A tender, wonderful film."]}],
            "outputs": [{"name": "label"}, {"name": "probabilities"}],
        }
    )

    id: Annotated[StrictStr, AfterValidator(_check_characters)] | None = None
    parameters: RequestParameters = RequestParameters()
    inputs: list[RequestInput] = Field(min_length=1, max_length=1, description="One tensor: texts or ids.")
    outputs: list[RequestedOutput] = Field(default=[], max_length=MOST_OUTPUTS, description="By default all outputs.")


class ResponseParameters(BaseModel):
    """Parameters of an output in an answer."""

    binary_data_size: int = Field(description="Bytes of the tensor after the JSON.")


class ResponseOutput(BaseModel):
    """An output: its elements are in `data`, flat, or after the JSON."""

    name: str
    shape: list[int]
    datatype: str
    parameters: ResponseParameters | None = None
    data: list[Any] | None = None


class InferenceResponse(BaseModel):
    """The answer to a request for inference."""

    model_config = ConfigDict(
        protected_namespaces=(),
        **with_example(
            {
                "model_name": "sentiment",
                "model_version": "1",
                "id": "42",
                "outputs": [
                    {"name": "label", "shape": [1], "datatype": "BYTES", "data": ["positive"]},
                    {"name": "probabilities", "shape": [1, 1], "datatype": "FP32", "data": [0.9991641]},
                ],
            }
        ),
    )

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[ResponseOutput]
