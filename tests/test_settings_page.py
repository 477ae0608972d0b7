"""The page of the settings has every setting with its default, in the order of `--help`."""

import re
from pathlib import Path

from app.settings import PREFIX, Settings

PAGE = (Path(__file__).parents[1] / "docs" / "settings.md").read_text(encoding="utf-8")
ROWS = re.findall(rf"^\| `{PREFIX}(\w+)` \| (.+?) \| .+ \|$", PAGE, re.MULTILINE)
IN_WORDS = {"workers": "one per core", "ready_models": "the default models"}  # defaults that are found at the start


def test_the_table_has_every_setting_in_the_order_of_help() -> None:
    assert [name.lower() for name, _ in ROWS] == list(Settings.model_fields)


def test_every_default_is_that_of_the_setting() -> None:
    for name, shown in ROWS:
        field = Settings.model_fields[name.lower()]
        if name.lower() in IN_WORDS:
            assert shown == IN_WORDS[name.lower()]
        elif field.default_factory is not None or field.default in (None, "", (), {}):
            assert shown == "-", name
        else:
            default = field.default
            assert shown.strip("`") == (str(default).lower() if isinstance(default, bool) else str(default)), name
