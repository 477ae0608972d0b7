"""Tools that only some machines have: tests without theirs are skipped, unless `REQUIRE_TOOLS` is set.

`.ci/run` sets it where it installs the tools itself. Such a test then runs and fails.
"""

import os

import pytest


def need(is_there: object, reason: str) -> pytest.MarkDecorator:
    """Return the mark of tests that need a tool.

    Args:
        is_there: true if it is installed.
        reason: what is missing, and how to install it.
    """
    return pytest.mark.skipif(not is_there and not os.environ.get("REQUIRE_TOOLS"), reason=reason)
