"""The Flower app, as `flwr run` runs it."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from federated.backends.processes import backend_processes
from federated.core.sampling import ClientSampler
from federated.core.scaling import Scaling
from tests.federated.helpers import MemoryClients, run_locally
from tfcluster import DEC
from tfcluster.files import unpack_arrays

pytest.importorskip("flwr")
pytest.importorskip("ray")

ROOT = Path(__file__).parents[2]
APP = ROOT / "examples" / "flower"
OPTIONS = {"clients": 3, "clusters": 10, "pretrain-rounds": 2, "rounds": 3, "seed": 1}


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return str(server.getsockname()[1])


def run_app(out, home):
    """Runs the app on Flower's own simulation, on a server that ends with it."""
    home.mkdir()
    settings = {
        "FLWR_HOME": str(home),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_LOCAL_SUPERLINK_HTTP_API_PORT": free_port(),
        "FLWR_LOCAL_CONTROL_API_PORT": free_port(),
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "PYTHONPATH": str(ROOT),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    options = " ".join(f"{name}={value}" for name, value in OPTIONS.items())
    with backend_processes():
        return subprocess.run(
            ["flwr", "run", str(APP), "--stream", "--federation-config", "num-supernodes=3"]
            + ["--run-config", f'{options} out="{out}"'],
            env={**os.environ, **settings},
            cwd=home,
            capture_output=True,
            text=True,
            check=False,
        )


def test_the_app_finds_the_model_of_the_local_backend(tmp_path, monkeypatch):
    result = run_app(tmp_path / "model.npz", tmp_path / "home")
    assert (tmp_path / "model.npz").exists(), result.stdout + result.stderr
    assert "Client 2 computes on " in result.stdout
    found = DEC.load(tmp_path / "model.npz")

    monkeypatch.syspath_prepend(APP)
    from federated_dec import task

    rows = task._read_digits()
    clients = MemoryClients([rows[part::3].astype(np.float32) for part in range(3)])
    at = run_locally(task.build_phases(OPTIONS), clients, ClientSampler(3, seed=OPTIONS["seed"]))
    np.testing.assert_array_equal(found.cluster_centers_, at.artifacts["clusters"], strict=True)
    encoder = unpack_arrays("encoder", at.artifacts)
    for weight, expected in zip(found.encoder_.get_weights(), encoder, strict=True):
        np.testing.assert_array_equal(weight, expected, strict=True)
    standardizer = Scaling.from_artifacts(at.artifacts).standardizer
    np.testing.assert_array_equal(found.standardizer_.mean, standardizer.mean)
