"""The manifests in `deploy/kubernetes`, as kubectl builds them: valid, and in agreement with the service."""

import json
import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from app import __version__
from app.processes.service import MORE_SECONDS
from app.processes.supervisor import START_SECONDS
from app.runtime.policy import POLICY_FILE, read_policy
from app.settings import MEMORY_OF_A_PROCESS, PREFIX, Settings, read_settings
from bundle.store import Store
from tests.app.service import ROOT

FOLDER = ROOT / "deploy" / "kubernetes"
KUBECTL = shutil.which("kubectl") or shutil.which("kubectl", path=Path(sys.executable).parent)
# The oldest release with `preStop.sleep`, and the newest one that the package has.
RELEASES = ("1.30", "1.37")
BASES = ("base", "volume", "init-container")
COMPONENTS = ("queue-depth", "keys", "policies")
MODELS = "/srv/lstm-serve/models"

pytestmark = pytest.mark.skipif(
    KUBECTL is None or not find_spec("kubernetes_validate"),
    reason="kubectl or the package kubernetes-validate is not installed",
)

Manifest = dict[str, Any]


def read_manifests(text: str) -> list[Manifest]:
    """Return the documents of a text in YAML."""
    import yaml

    manifests: list[Manifest] = [document for document in yaml.safe_load_all(text) if document]
    return manifests


def build(folder: Path) -> list[Manifest]:
    """Return what kubectl would apply for a folder."""
    assert KUBECTL
    built = subprocess.run([KUBECTL, "kustomize", str(folder)], capture_output=True, text=True)
    assert built.returncode == 0 and not built.stderr, built.stderr
    return read_manifests(built.stdout)


@cache
def build_base(name: str) -> list[Manifest]:
    """Return the manifests of one of the folders."""
    return build(FOLDER / name)


def build_with(folder: Path, components: Sequence[str]) -> list[Manifest]:
    """Return the manifests of the base with components, in a kustomization in a folder of its own."""
    place = os.path.relpath(FOLDER, folder)
    kustomization = {
        "resources": [f"{place}/base"],
        "components": [f"{place}/{component}" for component in components],
    }
    (folder / "kustomization.yaml").write_text(json.dumps(kustomization))
    return build(folder)


def find(manifests: Sequence[Manifest], kind: str) -> Manifest:
    """Return the manifest of a kind."""
    (found,) = (manifest for manifest in manifests if manifest["kind"] == kind)
    return found


def find_pod(manifests: Sequence[Manifest]) -> Manifest:
    """Return the specification of the pods."""
    pod: Manifest = find(manifests, "Deployment")["spec"]["template"]["spec"]
    return pod


def find_container(manifests: Sequence[Manifest]) -> Manifest:
    """Return the container of the service."""
    (container,) = find_pod(manifests)["containers"]
    found: Manifest = container
    return found


def find_settings(manifests: Sequence[Manifest]) -> dict[str, str]:
    """Return the variables that the container gets."""
    container = find_container(manifests)
    (source,) = container["envFrom"]
    data = find_data(manifests, source["configMapRef"]["name"])
    return data | {variable["name"]: variable["value"] for variable in container.get("env", [])}


def find_data(manifests: Sequence[Manifest], name: str) -> dict[str, str]:
    """Return the data of a ConfigMap."""
    (data,) = (each["data"] for each in manifests if (each["kind"], each["metadata"]["name"]) == ("ConfigMap", name))
    found: dict[str, str] = data
    return found


def validate(manifests: Sequence[Manifest]) -> None:
    """Check manifests by the schemas of Kubernetes, which refuse unknown fields."""
    import kubernetes_validate

    for release in RELEASES:
        for manifest in manifests:
            assert kubernetes_validate.validate(manifest, release, strict=True) == release


@pytest.mark.parametrize("name", BASES)
def test_the_manifests_are_valid(name: str) -> None:
    validate(build_base(name))


@pytest.mark.parametrize("components", [*([component] for component in COMPONENTS), list(COMPONENTS)], ids="+".join)
def test_the_manifests_with_components_are_valid(tmp_path: Path, components: list[str]) -> None:
    manifests = build_with(tmp_path, components)
    validate(manifests)
    assert len(manifests) == len(build_base("base")) + ("policies" in components)


def test_a_wrong_field_is_not_valid() -> None:
    import kubernetes_validate

    service = find(build_base("base"), "Service")
    with pytest.raises(kubernetes_validate.ValidationError):
        validate([service | {"spec": service["spec"] | {"prots": []}}])


def test_every_folder_is_tested() -> None:
    assert {path.parent.name for path in FOLDER.glob("*/kustomization.yaml")} == {*BASES, *COMPONENTS}


@pytest.mark.parametrize("name", BASES)
def test_every_variable_is_a_setting(name: str) -> None:
    settings = find_settings(build_base(name))
    assert all(setting.startswith(PREFIX) for setting in settings)
    read_settings({setting.removeprefix(PREFIX).lower(): value for setting, value in settings.items()})


def test_the_values_that_are_only_shown_are_settings() -> None:
    text = (FOLDER / "base" / "settings.env").read_text(encoding="utf-8")
    shown = re.findall(rf"^#?{PREFIX}(\w+)=(.+)$", text, re.MULTILINE)
    assert len(shown) > 2
    read_settings({name.lower(): value for name, value in shown})


def test_the_keys_are_a_file_of_a_secret(tmp_path: Path) -> None:
    manifests = build_with(tmp_path, ["keys"])
    path = Path(find_settings(manifests)[f"{PREFIX}KEYS"])
    assert mounts(manifests)[str(path.parent)] == {"secret": {"secretName": "lstm-serve-keys"}}


def test_the_policies_are_files_of_a_config_map(tmp_path: Path) -> None:
    manifests = build_with(tmp_path, ["policies"])
    folder = find_settings(manifests)[f"{PREFIX}POLICIES"]
    volume = mounts(manifests)[folder]["configMap"]
    data = find_data(manifests, volume["name"])  # by a name without a hash, so that pods follow a change
    assert {item["key"] for item in volume["items"]} == data.keys()
    store = Store(ROOT / "models")
    for item in volume["items"]:
        path = tmp_path / item["path"]
        path.parent.mkdir()
        path.write_text(data[item["key"]])
        policy = read_policy(path.parent)
        assert path.name == POLICY_FILE and policy.labels
        assert set(policy.labels.values()) <= set(store.versions(path.parent.name))


def test_the_autoscaler_takes_the_length_of_the_queue(tmp_path: Path) -> None:
    (metric,) = find(build_with(tmp_path, ["queue-depth"]), "HorizontalPodAutoscaler")["spec"]["metrics"]
    assert metric["pods"]["metric"]["name"] == "lstm_serve_queue_rows"
    assert int(metric["pods"]["target"]["averageValue"]) < Settings.model_fields["max_queue"].default


def test_pods_have_no_rights_and_a_read_only_root() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    (user, group) = re.findall(r"^USER (\d+):(\d+)$", dockerfile, re.MULTILINE)[0]
    for name in BASES:
        pod = find_pod(build_base(name))
        assert pod["securityContext"] == {
            "runAsNonRoot": True,
            "runAsUser": int(user),
            "runAsGroup": int(group),
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        assert pod["enableServiceLinks"] is False and pod["automountServiceAccountToken"] is False
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


def mounts(manifests: Sequence[Manifest]) -> dict[str, Manifest]:
    """Return the volumes of the service by the path where they are mounted, which is read-only except for /tmp."""
    volumes = {volume["name"]: volume for volume in find_pod(manifests)["volumes"]}
    mounted = {}
    for mount in find_container(manifests)["volumeMounts"]:
        assert mount["mountPath"] == "/tmp" or mount["readOnly"]
        mounted[mount["mountPath"]] = {key: value for key, value in volumes[mount["name"]].items() if key != "name"}
    return mounted


def test_models_come_from_the_image_a_volume_or_another_image() -> None:
    assert f"{PREFIX}MODELS={MODELS}" in (ROOT / "Dockerfile").read_text(encoding="utf-8")
    base, volume, init_container = (mounts(build_base(name)) for name in BASES)
    assert base.keys() == {"/tmp"}
    claim = find(build_base("volume"), "PersistentVolumeClaim")["metadata"]["name"]
    assert volume[MODELS] == {"persistentVolumeClaim": {"claimName": claim, "readOnly": True}}
    (copying,) = find_pod(build_base("init-container"))["initContainers"]
    assert copying["command"] == ["cp", "-r", f"{MODELS}/.", copying["volumeMounts"][0]["mountPath"]]
    assert "emptyDir" in init_container[MODELS]


def test_the_image_has_the_version_of_the_service() -> None:
    assert find_container(build_base("base"))["image"].endswith(f":{__version__}")


def test_a_pod_has_the_time_that_the_service_needs_to_end() -> None:
    manifests = build_base("base")
    deadline = int(find_settings(manifests)[f"{PREFIX}DEADLINE_MS"])
    before = find_container(manifests)["lifecycle"]["preStop"]["sleep"]["seconds"]
    ending = math.ceil(deadline / 1000) + 1 + MORE_SECONDS
    assert find_pod(manifests)["terminationGracePeriodSeconds"] > before + ending


def test_the_service_has_the_time_that_it_needs_to_load() -> None:
    probe = find_container(build_base("base"))["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] >= START_SECONDS


def test_a_pod_has_a_core_and_memory_for_every_process() -> None:
    manifests = build_base("base")
    limits = find_container(manifests)["resources"]["limits"]
    workers = int(find_settings(manifests)[f"{PREFIX}WORKERS"])
    assert int(limits["cpu"]) == workers
    assert int(limits["memory"].removesuffix("Gi")) << 30 >= workers * MEMORY_OF_A_PROCESS
    assert find_container(manifests)["resources"]["requests"] == limits  # nothing is promised twice


def test_all_parts_are_about_the_same_pods() -> None:
    manifests = build_base("base")
    labels = find(manifests, "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert labels == {"app.kubernetes.io/name": "lstm-serve"}
    assert find(manifests, "Service")["spec"]["selector"] == labels
    assert find(manifests, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == labels
    (spread,) = find_pod(manifests)["topologySpreadConstraints"]
    assert spread["labelSelector"]["matchLabels"] == labels
    assert find(manifests, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]["name"] == "lstm-serve"
