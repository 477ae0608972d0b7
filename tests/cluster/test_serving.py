"""The service on Ray Serve: its own 503, its versions, its replicas."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml
from ray import serve
from ray.serve.schema import ServeDeploySchema

from app.access.keys import add_client
from app.errors import SettingsError
from app.runtime.policy import Policy
from app.settings import Settings
from bundle.store import Store
from cluster.serving import NAME, build, make_deployment, read_replica_settings
from tests.app.scoring.conftest import MODELS, make_texts
from tests.app.service import ROOT
from tests.bundle.samples import publish_changed
from tests.cluster.serving import SECONDS, serve_on_ray
from tests.conftest import serve as serve_here

FILE = ROOT / "deploy" / "ray" / "serve.yaml"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two versions of a model."""
    folder = tmp_path_factory.mktemp("models")
    bundle = Store(MODELS).open("imdb-500")
    for _ in range(2):
        publish_changed(Store(folder), bundle, name="sentiment")
    return folder


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_answers_are_those_of_the_service(models: Path) -> None:
    body = {"texts": make_texts(40)}
    settings = Settings(models=models)
    with serve_here(settings) as here, serve_on_ray(settings) as there:
        mine, theirs = (client.post("/sentiment/batch", json=body) for client in (here, there))
        assert mine.status_code == theirs.status_code == 200
        assert mine.content == theirs.content
        own = {"x-request-id", "date", "server", "x-content-type-options"}  # the last one is of the worker's server
        assert {*mine.headers} - own == {*theirs.headers} - own
        assert len(theirs.headers.get_list("x-request-id")) == 1
        assert theirs.headers["x-content-type-options"] == "nosniff"
        assert there.get("/readyz").status_code == 200


def test_a_full_queue_answers_with_the_problem_of_the_service(models: Path) -> None:
    settings = Settings(models=models, max_batch=4, max_queue=4)
    body = {"texts": ["a wonderful film " * 200] * 4}
    with serve_on_ray(settings) as client, ThreadPoolExecutor(8) as threads:
        answers = [*threads.map(lambda _: client.post("/sentiment/batch", json=body), range(80))]
    refused = [answer for answer in answers if answer.status_code != 200]
    assert refused and len(refused) < len(answers)
    for answer in refused:
        assert answer.status_code == 503 and int(answer.headers["retry-after"]) >= 1
        assert answer.headers["content-type"] == "application/problem+json"


def test_the_user_config_says_which_version_answers_without_a_lost_request(models: Path) -> None:
    def ask() -> tuple[int, int]:
        answer = client.post("/sentiment", json={"text": "a wonderful film"})
        return answer.status_code, answer.json().get("version", 0)

    settings = Settings(models=models)
    first = {"user_config": {"sentiment": {"labels": {"stable": 1}}}}
    with serve_on_ray(settings, **first) as client:
        assert ask() == (200, 1)
        name = str(client.base_url).rstrip("/").rpartition("/")[2]
        options = {"models": str(models)}
        deployment = make_deployment(read_replica_settings(options)).options(autoscaling_config=None, num_replicas=1)
        with ThreadPoolExecutor(1) as threads:
            for config, version in (({}, 2), ({"sentiment": {"labels": {"stable": 1}}}, 1)):
                changed = deployment.options(user_config=config).bind(options)
                running = threads.submit(serve.run, changed, name=name, route_prefix=f"/{name}")
                asked = [ask()]
                while not running.done():
                    asked.append(ask())
                running.result()
                wait_until(lambda version=version: ask() == (200, version))  # type: ignore[misc]
                assert {status for status, _ in asked} == {200}


def test_a_change_by_a_request_is_refused(models: Path, tmp_path: Path) -> None:
    key = add_client(tmp_path / "keys.json", "operator", ("manage",))
    with serve_on_ray(Settings(models=models, keys=tmp_path / "keys.json")) as client:
        assert client.put("/models/sentiment/labels/stable", json={"version": 1}).status_code == 401
        client.headers["x-api-key"] = key
        answers = [
            client.put("/models/sentiment/labels/stable", json={"version": 1}),
            client.delete("/models/sentiment/labels/stable"),
            client.put("/models/sentiment/shadow", json={"share": 0.5}),
            client.post("/v2/repository/models/sentiment/unload"),
            client.post("/v2/repository/models/sentiment/load"),
        ]
    for answer in answers:
        assert answer.status_code == 409 and "the user_config says which versions" in answer.json()["detail"]
        assert answer.headers["content-type"] == "application/problem+json"


def test_a_version_that_cannot_be_used_is_refused(models: Path) -> None:
    with (
        pytest.raises(RuntimeError),
        serve_on_ray(
            Settings(models=models), user_config={"sentiment": {"labels": {"stable": 9}}}, max_constructor_retry_count=1
        ),
    ):
        pass


def test_replicas_follow_the_requests(models: Path) -> None:
    scaling = {"min_replicas": 1, "max_replicas": 2, "target_ongoing_requests": 1, "upscale_delay_s": 0.5}
    body = {"texts": ["a wonderful film " * 200] * 4}
    with serve_on_ray(Settings(models=models), num_replicas=None, autoscaling_config=scaling) as client:
        name = str(client.base_url).rstrip("/").rpartition("/")[2]

        def count() -> int:
            deployment = serve.status().applications[name].deployments[NAME]
            return deployment.replica_states.get("RUNNING", 0)  # type: ignore[no-any-return]

        with ThreadPoolExecutor(8) as threads:
            end = time.monotonic() + SECONDS
            while count() < 2:
                assert time.monotonic() < end
                answers = [*threads.map(lambda _: client.post("/sentiment/batch", json=body), range(16))]
                assert {answer.status_code for answer in answers} == {200}


def test_the_file_fits_the_schema_the_settings_and_the_models(models: Path) -> None:
    described = ServeDeploySchema.model_validate(yaml.safe_load(FILE.read_text("utf-8")))
    (application,) = described.applications
    assert application.import_path == "cluster.serving:build"
    read_replica_settings(application.args)
    (deployment,) = application.deployments
    assert deployment.name == NAME
    for name, fields in deployment.user_config.items():
        assert {*Policy.model_validate(fields).labels.values()} <= {*Store(MODELS).versions(name)}
    assert build({"models": str(models)})


def test_a_folder_of_policies_is_refused(models: Path) -> None:
    with pytest.raises(SettingsError, match="on Ray Serve versions are set by the user_config"):
        build({"models": str(models), "policies": str(models)})
