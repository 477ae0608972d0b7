"""What the files of the deployment say of the settings is what the settings are."""

import re
from pathlib import Path

from app import __version__
from app.settings import PREFIX, Settings

ROOT = Path(__file__).parent.parent
OF_THE_IMAGE = {"host", "port", "models"}
NAMES = {PREFIX + name.upper() for name in Settings.model_fields if name not in OF_THE_IMAGE}
EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8")


def test_compose_hands_every_setting_on() -> None:
    compose = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    assert set(re.findall(rf"^      - ({PREFIX}\w+)$", compose, re.MULTILINE)) == NAMES


def test_the_example_has_every_setting_with_its_description_and_default() -> None:
    settings = re.findall(rf"^# (.+)\n#?({PREFIX}\w+)=(.+)$", EXAMPLE, re.MULTILINE)
    assert {name for _, name, _ in settings} == NAMES
    for described, name, default in settings:
        field = Settings.model_fields[name.removeprefix(PREFIX).lower()]
        assert field.description is not None
        assert described.startswith(field.description.rstrip("."))
        if field.default_factory is None:
            assert default == str(field.default)


def test_the_example_has_every_variable_of_compose_with_its_default() -> None:
    compose = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    variables = re.findall(r"\$\{(\w+):-([^}]+)\}", compose)
    assert len(variables) > 5
    for name, default in variables:
        assert f"\n{name}={default}\n" in EXAMPLE


def test_the_image_has_the_version_of_the_service() -> None:
    assert f"ARG VERSION={__version__}\n" in (ROOT / "Dockerfile").read_text(encoding="utf-8")
