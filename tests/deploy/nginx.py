"""nginx with the configuration of `deploy/nginx`, on free ports and in a folder of its own."""

import re
import shlex
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks.servers import find_free_port
from tests.app.service import ROOT
from tests.conftest import SECONDS

CONFIGURATION = (ROOT / "deploy" / "nginx" / "lstm-serve.conf").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
PREFIX = "/models/v1"
CERTIFICATES = "/etc/ssl/lstm-serve"
MISSING = [name for name in ("nginx", "openssl") if not shutil.which(name)]

_MAIN = """\
user root;
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/lstm-serve.conf;
}}
"""


@dataclass(frozen=True)
class Proxy:
    """A proxy that runs, and the files that it writes."""

    folder: Path
    port: int
    plain_port: int

    def connect(self) -> httpx.Client:
        """Return a client that trusts the certificate of the proxy, and asks below the prefix."""
        return httpx.Client(base_url=f"https://localhost:{self.port}{PREFIX}", verify=self.trust(), timeout=SECONDS)

    def trust(self) -> ssl.SSLContext:
        """Return how to check the certificate of the proxy."""
        return ssl.create_default_context(cafile=self.folder / "certificate.pem")


@contextmanager
def run_proxy(folder: Path, upstreams: Sequence[str], changes: Mapping[str, str] | None = None) -> Iterator[Proxy]:
    """Run the proxy.

    Args:
        folder: for its configuration and its log.
        upstreams: addresses of the services.
        changes: texts of the configuration, and what stands there in this test.
    """
    folder.mkdir()
    proxy = Proxy(folder, find_free_port(), find_free_port())
    (folder / "lstm-serve.conf").write_text(_configure(proxy, upstreams, changes or {}))
    (folder / "nginx.conf").write_text(_MAIN.format(folder=folder))
    _make_certificate(folder)
    command = ["nginx", "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(folder / "nginx.conf")]
    checked = subprocess.run([*command, "-t"], capture_output=True, text=True)
    assert checked.returncode == 0 and "[warn]" not in checked.stderr, checked.stderr
    with subprocess.Popen(command) as process:
        try:
            _wait_for(proxy, process)
            yield proxy
        finally:
            process.terminate()


def _configure(proxy: Proxy, upstreams: Sequence[str], changes: Mapping[str, str]) -> str:
    """Return the configuration with the ports, the files and the upstreams of a test."""
    (server,) = re.findall(r"^    server 127.*\n", CONFIGURATION, re.MULTILINE)
    replaced = {
        server: "".join(server.replace("127.0.0.1:8000", upstream) for upstream in upstreams),
        "listen 80;": f"listen 127.0.0.1:{proxy.plain_port};",
        "listen 443 ": f"listen 127.0.0.1:{proxy.port} ",
        "    listen [::]:80;\n": "",
        "    listen [::]:443 ssl http2;\n": "",
        CERTIFICATES: str(proxy.folder),
        "/var/log/nginx": str(proxy.folder),
        **changes,
    }
    text = CONFIGURATION
    for old, new in replaced.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


def _make_certificate(folder: Path) -> None:
    """Make the certificate by the command of the page about deployment."""
    (command,) = re.findall(r"^openssl .*$", PAGE, re.MULTILINE)
    made = subprocess.run(shlex.split(command.replace(CERTIFICATES, str(folder))), capture_output=True, text=True)
    assert made.returncode == 0, made.stderr


def _wait_for(proxy: Proxy, process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + SECONDS
    while True:
        try:
            httpx.get(f"http://127.0.0.1:{proxy.plain_port}/")
            return
        except httpx.TransportError:
            assert time.monotonic() < end and process.poll() is None, (proxy.folder / "error.log").read_text()
            time.sleep(0.02)
