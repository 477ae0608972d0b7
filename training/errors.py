"""Every error of the package. A message names the value found, the value expected, and the remedy."""


class TrainingError(Exception):
    """Root of the errors of this package."""


class RecipeError(TrainingError):
    """The recipe or the field does not exist, or the value is invalid."""


class DivergedError(TrainingError):
    """The training diverged: the loss or the answers are not finite numbers."""


class OutputError(TrainingError):
    """The outputs of a network are no probabilities of its labels, so the service would refuse it."""


class DataError(TrainingError):
    """The dataset is not available, or its layout is not as expected."""


class CheckpointError(TrainingError):
    """A training cannot continue from its saved files."""


class ResultsError(TrainingError):
    """A line of the results file is not a recorded run."""


class ConversionError(TrainingError):
    """The weights do not fit a network that both frameworks have."""


class MissingPackageError(TrainingError):
    """An optional package is not installed."""


class ExportError(TrainingError):
    """The network cannot be exported to ONNX, or the export gives other answers."""


class ModelImportError(TrainingError):
    """A model made elsewhere cannot be published, or answers otherwise than its own code."""
