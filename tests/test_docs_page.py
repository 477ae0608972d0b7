"""The documentation page in a real browser that reaches nothing but the service."""

import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.mark.skipif(BROWSER is None, reason="there is no chromium on the PATH")
def test_the_documentation_is_shown_without_a_network(client: httpx.Client, tmp_path: Path) -> None:
    assert BROWSER
    command = [
        BROWSER,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path}",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        "--virtual-time-budget=20000",
        "--dump-dom",
        f"{client.base_url}/docs",
    ]
    page = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    for shown in ("Continue a sequence of letters", "Judge several texts", "Describe a model", "Can it answer?"):
        assert shown in page
    assert "Failed to load" not in page
