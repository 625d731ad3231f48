"""Nothing that a backend starts listens beyond this machine."""

import contextlib
import gc
import ipaddress
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from federated.backends.descriptions import Flower, Local
from federated.backends.processes import MARK, backend_processes, marked_processes
from federated.core.sampling import ClientSampler
from federated.data.client_store import ClientStore
from tests.federated.test_parity import pretraining
from tests.tfcluster.helpers import blobs

# Ray leaves files and children to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

X = blobs(60)[0].astype(np.float32)
LISTENING = "0A"  # a state in /proc/net/tcp


class Listener(NamedTuple):
    """A listening socket."""

    process: int
    address: ipaddress.IPv4Address | ipaddress.IPv6Address
    port: int

    @property
    def is_local(self):
        """Whether only this machine reaches it; IPv6 writes 127.0.0.1 as ::ffff:127.0.0.1."""
        mapped = getattr(self.address, "ipv4_mapped", None)
        return (mapped or self.address).is_loopback


def find_listeners(processes):
    """Returns the listening TCP sockets of processes, in the network each of them sees."""
    return [listener for process in processes for listener in _listeners_of(process)]


def _listeners_of(process):
    names = set()
    with contextlib.suppress(OSError):  # it ended
        for handle in Path(f"/proc/{process}/fd").iterdir():
            with contextlib.suppress(OSError):
                names.add(os.readlink(handle))
        for table in ("tcp", "tcp6"):
            lines = Path(f"/proc/{process}/net/{table}").read_text().splitlines()[1:]
            for _, local, _, state, *rest in map(str.split, lines):
                if state == LISTENING and f"socket:[{rest[5]}]" in names:
                    yield Listener(process, *_parse(local))


def _parse(local):
    """Returns the address and the port of an entry: words of four bytes in the machine's order."""
    address, port = local.split(":")
    words = [int(address[i : i + 8], 16) for i in range(0, len(address), 8)]
    return ipaddress.ip_address(struct.pack(f"={len(words)}I", *words)), int(port, 16)


@pytest.mark.parametrize(
    ("address", "is_local"),
    [("127.0.0.1", True), ("::1", True), ("0.0.0.0", False), ("::", False)],
)
def test_the_check_sees_a_listener(address, is_local):
    """In this process and in a child."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as server:
        found = [
            one for one in find_listeners([os.getpid()]) if one.port == server.getsockname()[1]
        ]
        assert [(str(one.address), one.is_local) for one in found] == [(address, is_local)]
        os.set_inheritable(server.fileno(), True)
        with backend_processes() as mark:
            child = subprocess.Popen(
                [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False
            )
            (only,) = find_listeners(marked_processes(mark))
            assert (only.process, only.port, only.is_local) == (
                child.pid,
                server.getsockname()[1],
                is_local,
            )
        child.communicate()


# what a backend is described by; the package it needs; whether it has servers at all
CASES = {"local": (Local(), None, False), "flower": (Flower(n_workers=1), "ray", True)}


@pytest.mark.parametrize("name", CASES)
def test_a_backend_listens_to_this_machine_only(name, tmp_path, monkeypatch):
    description, package, has_servers = CASES[name]
    if package:
        pytest.importorskip(package)
    monkeypatch.delenv(MARK, raising=False)
    store = ClientStore.write(tmp_path, [(X, None)] * 2)
    (alg,), state = pretraining()
    mine = set(find_listeners([os.getpid()]))
    with backend_processes() as mark, contextlib.closing(description.start(store)) as backend:
        backend.run_round(alg, state, ClientSampler(2).participants(0))
        # a backend marks what it starts with a mark of its own
        started = marked_processes(os.environ[MARK]) | marked_processes(mark)
        found = find_listeners(started | {os.getpid()})
    found = [listener for listener in found if listener not in mine]
    assert bool(found) == has_servers
    assert not [listener for listener in found if not listener.is_local]
    gc.collect()  # while Ray's warnings are ignored


def test_files_of_the_simulation_are_of_its_user_only(tmp_path, monkeypatch):
    """Ray opens its own folder to all, so the one around it must be closed."""
    pytest.importorskip("ray")
    from federated.backends.flower import simulation

    made = []

    def stop_here(n_workers, num_gpus, scratch):
        made.append(scratch)
        (scratch / "r").mkdir(mode=0o777)
        assert scratch.stat().st_mode & 0o777 == 0o700
        raise KeyboardInterrupt

    monkeypatch.setattr(simulation, "_start_ray", stop_here)
    with pytest.raises(KeyboardInterrupt):
        Flower().start(ClientStore.write(tmp_path, [(X, None)]))
    assert not made[0].exists()
