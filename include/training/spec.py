"""Read the spec that a training is told by."""

from pydantic import ValidationError

from include.contracts.errors import ModelError
from include.contracts.training import TrainingSpec
from include.lake import object_store


def read_spec(uri: str) -> TrainingSpec:
    """The TrainingSpec at a local path or an `s3://` URI.

    Raises:
        ModelError: If there is none, or it is not one.
    """
    try:
        return TrainingSpec.model_validate_json(object_store(uri).read(uri))
    except (FileNotFoundError, ValidationError) as error:
        raise ModelError("training spec", f"{uri}: {error}", "look at the plan task that writes it") from error
