"""Every error of the package. A message says what came, what was expected and what to do."""


class TrainingError(Exception):
    """Root of the errors of this package."""


class RecipeError(TrainingError):
    """There is no such recipe, no such field, or the field cannot have this value."""


class DivergedError(TrainingError):
    """The training ended with weights that give no numbers."""


class DataError(TrainingError):
    """The dataset cannot be had, or is not laid out as expected."""


class CheckpointError(TrainingError):
    """What a training has left cannot be gone on from."""


class ResultsError(TrainingError):
    """The results file holds what is no recorded run."""


class ConversionError(TrainingError):
    """The weights are not those of a network that both frameworks have."""


class MissingPackageError(TrainingError):
    """An optional package is not installed."""


class ExportError(TrainingError):
    """The network cannot be exported to ONNX, or its export does not answer as it does."""
