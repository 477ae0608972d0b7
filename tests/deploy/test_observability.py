"""`deploy/observability`: the alerts by `promtool`, and every query in a real Prometheus beside a real service."""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from benchmarks.servers import find_free_port
from bundle.reference import REFERENCE_FILE, Reference
from bundle.store import Store
from tests.app.service import ROOT, Service, run_service
from tests.bundle.samples import publish_changed
from tests.conftest import SECONDS
from tests.reliability.clients import Connection, make_request
from tests.tools import need

OBSERVABILITY = ROOT / "deploy" / "observability"
RULES = OBSERVABILITY / "rules.yml"
DASHBOARD = json.loads((OBSERVABILITY / "grafana" / "dashboards" / "lstm-serve.json").read_text(encoding="utf-8"))
CONFIGURATION = (OBSERVABILITY / "prometheus.yml").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))

PANELS = {panel["title"]: panel for panel in DASHBOARD["panels"] if panel["type"] != "row"}
QUERIES = [(title, target["expr"]) for title, panel in PANELS.items() for target in panel["targets"]]
ALERTS = {
    rule["alert"]: rule["expr"]
    for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
}

ROWS = 16  # in a request at most
LONG = "A tender, wonderful film. " * 400

needs_prometheus = need(
    shutil.which("prometheus") and shutil.which("promtool"), "Prometheus is not installed; apt-get install prometheus"
)


def promtool(*arguments: object) -> None:
    ended = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@needs_prometheus
def test_the_configuration_is_valid() -> None:
    promtool("check", "config", OBSERVABILITY / "prometheus.yml")
    promtool("check", "rules", RULES)


@needs_prometheus
def test_every_alert_fires_when_it_should() -> None:
    cases = ROOT / "tests" / "deploy" / "alerts.yml"
    promtool("test", "rules", cases)
    _, quiet, loud = yaml.safe_load(cases.read_text(encoding="utf-8"))["tests"]
    assert {case["alertname"] for case in quiet["alert_rule_test"]} == ALERTS.keys()
    assert {case["alertname"] for case in loud["alert_rule_test"] if case.get("exp_alerts")} == ALERTS.keys()


def test_every_metric_of_a_query_is_documented() -> None:
    documented = set(re.findall(r"^\| `(lstm_serve_\w+)` \|", PAGE, re.MULTILINE))
    for query in [*(query for _, query in QUERIES), *ALERTS.values()]:
        for name in re.findall(r"\blstm_serve_\w+", query):
            assert {name, re.sub(r"_(bucket|sum|count)$", "", name)} & documented, query


def test_every_panel_says_what_it_shows_and_has_a_place_of_its_own() -> None:
    places: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & places and max(cells)[0] < 24, panel["title"]
        places |= cells
    for panel in PANELS.values():
        assert panel["description"].endswith(".") and panel["fieldConfig"]["defaults"]["unit"]
        assert panel["datasource"]["uid"] == "prometheus"
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_compose_mounts_what_is_there_and_grafana_finds_prometheus() -> None:
    for name in ("prometheus", "grafana"):
        service = COMPOSE["services"][name]
        assert service["profiles"] == ["observability"]
        for volume in service["volumes"]:
            source, target, *_ = volume.split(":")
            assert source in COMPOSE["volumes"] or (ROOT / source).exists(), volume
            assert target.startswith("/")
    provisioning = OBSERVABILITY / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]
    assert (source["uid"], source["url"]) == ("prometheus", "http://prometheus:9090")
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "lstm-serve.yml").read_text())["providers"]
    targets = [volume.split(":")[1] for volume in COMPOSE["services"]["grafana"]["volumes"]]
    assert provider["options"]["path"] in targets
    (job,) = yaml.safe_load(CONFIGURATION)["scrape_configs"]
    assert job["dns_sd_configs"][0]["names"] == ["app"] and "app" in COMPOSE["services"]


@dataclass(frozen=True)
class Watched:
    """A service under load, and the Prometheus that watches it."""

    service: Service
    url: str
    log: Path

    def ask(self, path: str, **parameters: str) -> Any:
        """Return the data that Prometheus answers; None if it does not answer yet."""
        try:
            answer = httpx.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=SECONDS)
        except httpx.TransportError:
            return None
        assert answer.status_code in (200, 503), f"{parameters}: {answer.text}"
        return answer.json()["data"] if answer.status_code == 200 else None

    def wait_for_data(self, query: str) -> list[Any]:
        """Return the result of a query once it has data; the load goes on meanwhile."""
        end = time.monotonic() + SECONDS
        while True:
            found = self.ask("query", query=query)
            if found and found["result"]:
                result: list[Any] = found["result"]
                return result
            assert time.monotonic() < end, f"no data: {query}\n{self.log.read_text()[-2000:]}"
            send_load(self.service)


def send_load(service: Service) -> None:
    """Send what every metric counts: answers, a problem, a missed deadline, rejections, a client that leaves."""
    with httpx.Client(base_url=service.url, timeout=SECONDS) as client:
        batch = client.post("/sentiment/batch", json={"texts": ["A tender, wonderful film.", LONG] * 8})
        assert batch.status_code == 200
        assert client.post("/next-letter", json={"sequence": "ABC"}).status_code == 200
        assert client.post("/next-letter", json={"sequence": "1"}).status_code == 422
        fill_queue(service)
        late = client.post("/sentiment/batch", json={"texts": [LONG] * ROWS}, headers={"x-deadline-ms": "20"})
        assert late.status_code in (200, 408, 503, 504)  # as fast as the machine is
    with Connection(service.port) as connection:
        connection.send(make_request("POST", "/sentiment", "content-type: application/json", "content-length: 9"))


def fill_queue(service: Service) -> None:
    """Send requests at the same time; each process has places for one of them."""
    body = json.dumps({"texts": [LONG] * ROWS}).encode()
    with ExitStack() as stack:
        connections = [stack.enter_context(Connection(service.port)) for _ in range(4)]
        for connection in connections:
            connection.send(make_request("POST", "/sentiment/batch", "content-type: application/json", body=body))
        for connection in connections:
            assert connection.read()


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("watched")
    models = Store(folder / "models")
    for name in ("next-letter", "sentiment"):
        shutil.copytree(ROOT / "models" / name, models.root / name)
    (models.root / "refused" / "1").mkdir(parents=True)
    reference = Reference.count("texts", {"length": [6, 2000], "unknown_share": [0, 0.01], "probability": [0.9, 0.2]})
    contents = reference.model_dump_json().encode()
    publish_changed(models, models.open("sentiment"), {REFERENCE_FILE: contents})
    limits = {"LSTM_SERVE_MAX_BATCH": str(ROWS), "LSTM_SERVE_MAX_QUEUE": str(ROWS), "LSTM_SERVE_WORKERS": "2"}
    with run_service(models.root, folder / "service.log", **limits) as service:
        service.wait_for("the service is ready")
        with run_prometheus(service, folder) as watched:
            yield watched


@contextmanager
def run_prometheus(service: Service, folder: Path, configured: str = CONFIGURATION) -> Iterator[Watched]:
    """Run Prometheus with the project's configuration, but for a target that needs no Docker and shorter intervals."""
    configuration = yaml.safe_load(configured)
    configuration["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    configuration["rule_files"] = [str(RULES)]
    (job,) = configuration["scrape_configs"]
    del job["dns_sd_configs"]
    job["static_configs"] = [{"targets": [f"127.0.0.1:{service.port}"]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration), encoding="utf-8")
    address, log = f"127.0.0.1:{find_free_port()}", folder / "prometheus.log"
    command = [
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
    ]
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            yield Watched(service, f"http://{address}", log)
        finally:
            process.terminate()


@needs_prometheus
@pytest.mark.parametrize(("title", "query"), QUERIES)
def test_every_query_of_the_dashboard_has_data(watched: Watched, title: str, query: str) -> None:
    for variable, value in (("$__rate_interval", "1m"), ("$model", ".*"), ("$measure", ".*")):
        query = query.replace(variable, value)
    assert "$" not in query, title
    assert watched.wait_for_data(query)


@needs_prometheus
@pytest.mark.parametrize("alert", ALERTS)
def test_what_an_alert_compares_has_data(watched: Watched, alert: str) -> None:
    compared, comparisons = re.subn(r"\s(==|<|>)\s[\w.]+( or absent\(.+\))?$", "", ALERTS[alert])
    assert comparisons == 1
    assert watched.wait_for_data(compared)
    assert watched.ask("query", query=ALERTS[alert]) is not None


@needs_prometheus
def test_prometheus_gets_the_metrics_and_evaluates_the_rules(watched: Watched) -> None:
    (up,) = watched.wait_for_data('up{job="lstm-serve"}')
    assert up["value"][1] == "1"
    (refused,) = watched.wait_for_data('ALERTS{alertname="LstmServeModelRefused"}')
    assert refused["metric"]["model"] == "refused"
    rules = [rule for group in watched.ask("rules")["groups"] for rule in group["rules"]]
    assert {rule["name"] for rule in rules} == ALERTS.keys()
    assert {rule["health"] for rule in rules} == {"ok"}


@needs_prometheus
def test_texts_unlike_the_reference_have_a_large_index(watched: Watched) -> None:
    found = watched.wait_for_data('lstm_serve_stability_index{measure="unknown_share"}')
    assert [index["metric"]["model"] for index in found] == ["sentiment"]
    assert float(found[0]["value"][1]) > 0


@needs_prometheus
def test_prometheus_reads_a_service_with_keys_by_the_key_of_the_page(tmp_path: Path) -> None:
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    for folder in ("app", "bundle"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    (commands,) = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    subprocess.run(["bash", "-ec", commands], cwd=tmp_path, check=True)
    authorization, compose = map(yaml.safe_load, re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))
    commented = CONFIGURATION.replace("    # authorization", "    authorization").replace("    #   ", "      ")
    (job,) = yaml.safe_load(commented)["scrape_configs"]
    assert job["authorization"] == authorization["authorization"]
    source, target, _ = compose["services"]["prometheus"]["volumes"][0].split(":")
    assert target == authorization["authorization"]["credentials_file"]
    settings = {"LSTM_SERVE_KEYS": str(tmp_path / "keys.json"), "LSTM_SERVE_WORKERS": "1"}
    with run_service(ROOT / "models", tmp_path / "service.log", **settings) as service:
        service.wait_for("the service is ready")
        assert httpx.get(f"{service.url}/metrics").status_code == 401
        with run_prometheus(service, tmp_path, commented.replace(target, str(tmp_path / source))) as watched:
            service.wait_until(lambda: bool((watched.ask("query", query="up == 1") or {}).get("result")))
