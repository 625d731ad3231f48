"""The Flower app, as `flwr run` runs it."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from federated.backends.processes import backend_processes
from tfcluster import DEC

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


# The same phases in a loop. A process of its own, since bits depend on the threads of a product.
LOOP = """
import sys
import numpy as np
from tfcluster.runtime import set_threads
set_threads(1)
sys.path.insert(0, "examples/flower")
from federated_dec import task
from federated.core.sampling import ClientSampler
from federated.estimators.dec import build_dec
from tests.federated.helpers import MemoryClients, run_locally
options = {options!r}
rows = task._read_digits().astype(np.float32)
clients, sampler = MemoryClients([rows[i::3] for i in range(3)]), ClientSampler(3, seed=1)
result = run_locally(task.build_phases(options), clients, sampler)
build_dec(result, task.build_config(options).model, seed=1).save(sys.argv[1])
"""


@pytest.mark.timeout(600)
def test_the_app_finds_the_model_of_the_local_backend(tmp_path):
    result = run_app(tmp_path / "model.npz", tmp_path / "home")
    assert (tmp_path / "model.npz").exists(), result.stdout + result.stderr
    assert "Client 2 computes on " in result.stdout
    command = [sys.executable, "-c", LOOP.format(options=OPTIONS), str(tmp_path / "loop.npz")]
    subprocess.run(command, check=True, cwd=ROOT)
    found, expected = (DEC.load(tmp_path / name) for name in ("model.npz", "loop.npz"))
    pairs = [
        (found.cluster_centers_, expected.cluster_centers_),
        (found.standardizer_.mean, expected.standardizer_.mean),
        *zip(found.encoder_.get_weights(), expected.encoder_.get_weights(), strict=True),
    ]
    for value, other in pairs:
        np.testing.assert_array_equal(value, other, strict=True)
