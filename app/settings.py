"""The settings of the service: read once from the environment, then frozen."""

import os
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.errors import SettingsError

PREFIX = "LSTM_SERVE_"


class Settings(BaseSettings):
    """Every setting with its unit and default; the environment variable is `LSTM_SERVE_` and the name."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    models: Path = Field(default=Path("models"), description="The folder of the bundles.")
    max_body_bytes: int = Field(default=4 * 1024 * 1024, ge=1, description="Bytes in the body of a request.")
    max_text_characters: int = Field(default=100_000, ge=1, description="Characters in one text or sequence.")
    max_batch: int = Field(default=128, ge=1, description="Texts or sequences in one batch request.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Least severe level that is logged."
    )


def read_settings() -> Settings:
    """Read the settings from the environment.

    Raises:
        SettingsError: a variable with the prefix is no setting, or a value is not one the setting can have.
    """
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    if unknown := sorted(name for name in os.environ if name.upper().startswith(PREFIX) and name.upper() not in known):
        raise SettingsError(f"{', '.join(unknown)} is no setting; there are: {', '.join(sorted(known))}")
    try:
        return Settings()
    except ValidationError as error:
        problems = (
            f"{PREFIX}{str(problem['loc'][0]).upper()}={problem['input']}: {problem['msg']}"
            for problem in error.errors()
        )
        raise SettingsError("; ".join(problems)) from error
