"""The service on Ray Serve: each replica runs the whole service, with its routes, its queue and its answers.

Ray starts, scales and replaces replicas, and its proxy on each node sends requests to them. `deploy/ray/serve.yaml`
names `build`; `docs/scale.md` says when to use it.
"""

import asyncio
import math
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

from ray import serve
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import PolicyError, SettingsError
from app.http.app import create_app
from app.runtime.changes import Changes
from app.runtime.policy import Label, Policy, change_policy
from app.runtime.repository import Repository
from app.settings import Settings, read_settings
from bundle.store import Store

NAME = "lstm-serve"
# Requests that a replica answers or lets wait before Ray starts another one: two full batches.
TARGET_ONGOING_REQUESTS = 32
MOST_REPLICAS = 8
# More requests than a proxy has connections, so the limit of the service's own queue is reached before.
MOST_ONGOING_REQUESTS = 100_000
# In which a replica must have the versions of a new user_config.
FOLLOW_SECONDS = 60

_LOOK_SECONDS = 0.05
_FIXED = "on Ray Serve the user_config says which versions there are, for all replicas; change it, and deploy again"
_REQUEST_ID = b"x-request-id"
_SAFE_TYPE = (b"x-content-type-options", b"nosniff")


class Replica:
    """One replica: an app of its own, whose versions are those of the user_config."""

    def __init__(self, options: Mapping[str, str]) -> None:
        """Take the settings by name, as on the command line; those of the environment are read, too.

        Raises:
            SettingsError: the service cannot run with them.
        """
        self._folder = TemporaryDirectory()
        self._policies = Path(self._folder.name)
        self._settings = read_replica_settings(options).model_copy(update={"policies": self._policies})
        self._store = Store(self._settings.models)
        self._named: set[str] = set()
        self._repository: Repository

    def __serve_build_asgi_app__(self) -> ASGIApp:  # noqa: D105
        app = create_app(self._settings)
        self._repository = app.state.repository
        self._repository.changes = NoChanges(self._store, self._settings)
        return Front(app)

    async def reconfigure(self, user_config: Mapping[str, Any]) -> None:
        """Follow the policies of the models, by name: see `Policy`; return when their versions answer.

        Raises:
            ValidationError: one is no policy.
            BundleError: a version with a label cannot be used.
            PolicyError: the versions do not answer in time.
        """
        policies = {name: Policy.model_validate(fields) for name, fields in user_config.items()}
        for name, policy in policies.items():
            for version in policy.labels.values():
                await asyncio.to_thread(self._store.open, name, version)
        for name in self._named - policies.keys():
            policies[name] = Policy()
        self._named = {*user_config}
        for name, policy in policies.items():
            change_policy(self._policies / name, partial(_replace, policy))
        due = time.monotonic() + FOLLOW_SECONDS
        while behind := [name for name, policy in policies.items() if not self._follows(name, policy)]:
            if time.monotonic() > due:
                raise PolicyError(f"these models do not follow the user_config: {', '.join(behind)}; see the log")
            await asyncio.sleep(_LOOK_SECONDS)

    def _follows(self, name: str, policy: Policy) -> bool:
        versions = self._repository.models.get(name)
        return (
            versions is not None
            and versions.labels == policy.labels
            and versions.shadow_share == policy.shadow_share
            and versions.is_unloaded != policy.is_loaded
        )


class NoChanges(Changes):
    """Refuses changes by requests, each of which would reach one replica only."""

    def set_label(self, name: str, label: Label, version: int) -> Policy:  # noqa: ARG002
        """Refuse: see `_refuse`."""
        self._refuse(name)

    def remove_label(self, name: str, label: Label) -> Policy:  # noqa: ARG002
        """Refuse: see `_refuse`."""
        self._refuse(name)

    def set_shadow_share(self, name: str, share: float) -> Policy:  # noqa: ARG002
        """Refuse: see `_refuse`."""
        self._refuse(name)

    def set_loaded(self, name: str, is_loaded: bool) -> Policy:  # noqa: ARG002
        """Refuse: see `_refuse`."""
        self._refuse(name)

    def _refuse(self, name: str) -> NoReturn:
        """Refuse a change.

        Raises:
            BundleNotFoundError: there is no model of this name.
            PolicyError: there is.
        """
        self.read(name)
        raise PolicyError(_FIXED)


class Front:
    """What the service's own server adds to answers, and Ray's proxy does not; and the reverse."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap the app."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""

        async def send_as_one(message: Message) -> None:
            if message["type"] == "http.response.start":
                # The proxy adds the id of the request itself.
                message["headers"] = [*(pair for pair in message["headers"] if pair[0] != _REQUEST_ID), _SAFE_TYPE]
            await send(message)

        await self._app(scope, receive, send_as_one if scope["type"] == "http" else send)


def make_deployment(settings: Settings) -> serve.Deployment:
    """Return the deployment of the replicas.

    A replica refuses requests when its queue is full, with the service's own 503. So Ray lets any number wait, and
    passes them on at once: its own 503 is no problem document.
    """
    return serve.deployment(
        serve.ingress()(Replica),
        name=NAME,
        max_ongoing_requests=MOST_ONGOING_REQUESTS,
        max_queued_requests=-1,
        autoscaling_config={
            "min_replicas": 1,
            "max_replicas": MOST_REPLICAS,
            "target_ongoing_requests": TARGET_ONGOING_REQUESTS,
        },
        ray_actor_options={"num_cpus": settings.engine_threads},
        graceful_shutdown_timeout_s=math.ceil(settings.deadline_ms / 1000) + 1,
    )


def build(args: Mapping[str, str]) -> serve.Application:
    """Return the application: the entry point for Ray.

    Args:
        args: settings by name, such as `models`.

    Raises:
        SettingsError: the service cannot run with them.
    """
    return make_deployment(read_replica_settings(args)).bind(dict(args))


def read_replica_settings(options: Mapping[str, str]) -> Settings:
    """Return the settings of a replica.

    Raises:
        SettingsError: the service cannot run with them.
    """
    settings = read_settings({"workers": "1", **options})
    if settings.policies:
        raise SettingsError("there is a folder of policies; on Ray Serve versions are set by the user_config")
    return settings


def _replace(policy: Policy, _: Policy) -> Policy:
    return policy
