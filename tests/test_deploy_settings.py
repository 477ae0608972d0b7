"""The files of the deployment agree with the settings."""

import re
from importlib.util import find_spec
from pathlib import Path

from app import __version__
from app.settings import PREFIX, Settings, read_settings

ROOT = Path(__file__).parent.parent
OF_THE_IMAGE = {"host", "port", "socket", "models"}  # where a container listens and finds its bundles
MOUNTED = {"policies"}  # where Compose mounts a volume
NAMES = {PREFIX + name.upper() for name in Settings.model_fields if name not in OF_THE_IMAGE | MOUNTED}
EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8")


def test_compose_hands_every_setting_on() -> None:
    compose = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    assert set(re.findall(rf"^      - ({PREFIX}\w+)$", compose, re.MULTILINE)) == NAMES
    folders = dict(re.findall(rf"^      - {PREFIX}(\w+)=(.+)$", compose, re.MULTILINE))
    assert {name.lower() for name in folders} == MOUNTED
    for name, folder in folders.items():
        assert f"      - ${{{name}:-{name.lower()}}}:{folder}\n" in compose


def test_the_example_has_every_setting_with_its_description_and_default() -> None:
    settings = re.findall(rf"^# (.+)\n(#?)({PREFIX}\w+)=(.+)$", EXAMPLE, re.MULTILINE)
    assert {name for _, _, name, _ in settings} == NAMES
    for described, mark, name, value in settings:
        setting = name.removeprefix(PREFIX).lower()
        field = Settings.model_fields[setting]
        assert field.description is not None
        assert described.startswith(field.description.rstrip("."))
        if field.default_factory is None and field.default:
            assert (mark, value) == ("", str(field.default))
        else:  # the line shows another value than the default
            assert mark == "#" and read_settings({setting: value})


def test_the_example_has_every_variable_of_compose_with_its_default() -> None:
    compose = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    variables = re.findall(r"\$\{(\w+):-([^}]+)\}", compose)
    assert len(variables) > 5
    for name, default in variables:
        assert f"\n{name}={default}\n" in EXAMPLE


def test_the_image_has_the_version_of_the_service() -> None:
    assert f"ARG VERSION={__version__}\n" in (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_the_image_and_its_health_check_use_the_settings() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    values = dict(re.findall(rf"({PREFIX}\w+)=(\S+)", dockerfile))
    assert {name.removeprefix(PREFIX).lower() for name in values} == OF_THE_IMAGE - {"socket"}
    assert values[f"{PREFIX}PORT"] == str(Settings.model_fields["port"].default)  # of the health check, too
    for command in re.findall(r'CMD \["python", "-m", "(app[\w.]*)"\]', dockerfile):
        assert find_spec(command)
