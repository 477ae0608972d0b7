"""Run in a container: what is installed there, and what the service has imported once it is ready."""

import json
import sys
from importlib.metadata import packages_distributions

import uvicorn.supervisors  # noqa: F401
from uvicorn.loops import uvloop  # noqa: F401
from uvicorn.protocols.http import httptools_impl  # noqa: F401

import app.command  # noqa: F401
import app.processes.service  # noqa: F401
from app.http.app import create_app

service = create_app()
repository = service.state.repository
repository.load()
repository.check_ready()
service.openapi()
repository.close()
imported = sorted({name.partition(".")[0] for name in sys.modules})
sys.stdout.write("\n" + json.dumps({"packages": packages_distributions(), "imported": imported}))
