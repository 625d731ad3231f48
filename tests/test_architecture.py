"""Who may import whom, and what importing costs.

A room is a folder with Python files, or a module beside the folders of a package.
"""

import ast
import fnmatch
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("tfcluster", "federated", "benchmarks")  # each may import those before it
ENGINES = {
    "flwr": "federated/backends/flower",
    "ray": "federated/backends/flower",
    "tensorflow_federated": "federated/backends/tff",
}
"""Packages that backends are made of, and the only room that may import each."""

BASE = [
    f"tfcluster/{name}"
    for name in (
        "errors", "files", "keras_versions", "layers", "metrics", "runtime", "scaling", "shift",
        "tensorflow_log",
        "validation",
    )
]  # fmt: skip
LEARNING = [*BASE, "tfcluster/config", "tfcluster/training"]
ESTIMATOR = [*LEARNING, "tfcluster/estimator", "tfcluster/fitted"]
MODELS = [*ESTIMATOR, "tfcluster/dec", "tfcluster/clustergan"]
DATA = [*BASE, "tfcluster/data", "tfcluster/profile"]

ALLOWED = {
    **dict.fromkeys(BASE, BASE),
    "tfcluster/config": ["tfcluster/errors"],
    "tfcluster/training": [*BASE, "tfcluster/config"],
    "tfcluster/fitted": LEARNING,
    "tfcluster/estimator": ESTIMATOR,
    "tfcluster/dec": ESTIMATOR,
    "tfcluster/clustergan": ESTIMATOR,
    "tfcluster/data": BASE,
    "tfcluster/profile": DATA,
    "tfcluster/n_clusters": BASE,
    "tfcluster/plots": DATA,
    "tfcluster/cli": ["tfcluster/*"],
    "tfcluster/__main__": ["tfcluster/cli"],
    "tfcluster": [*MODELS, *DATA],
    "federated/core": LEARNING,
    "federated/algorithms": ["federated/core", *MODELS],
    "federated/phases": ["federated/core", "federated/algorithms", *MODELS],
    "federated/data": ["federated/core", *DATA],
    "federated/backends": ["federated/backends/*", "federated/core", "federated/data", *LEARNING],
    "federated/backends/flower": [
        "federated/backends", "federated/core", "federated/data", *LEARNING,
    ],
    "federated/backends/piped": [
        "federated/backends", "federated/backends/tff", "federated/core", "federated/data",
        *LEARNING,
    ],
    "federated/backends/tff": ["federated/backends", "federated/core", "federated/data", *LEARNING],
    "federated/estimators": [
        "federated/algorithms", "federated/backends", "federated/backends/*", "federated/core",
        "federated/data", "federated/phases", "tfcluster/n_clusters", "tfcluster/plots", *MODELS,
        *DATA,
    ],
    "federated/cli": ["federated", "federated/*", "tfcluster", "tfcluster/*"],
    "federated": [
        "federated/estimators", "federated/backends", "federated/core", "federated/data",
        "tfcluster",
    ],
    "benchmarks": [],
    "benchmarks/compare": ["*"],
    "benchmarks/reproduce": ["*"],
    "benchmarks/speed": ["*"],
    "benchmarks/markdown": ["*"],
    "benchmarks/readme": ["*"],
    "benchmarks/record": ["*"],
}  # fmt: skip
"""Rooms, and patterns of the rooms that each may import."""


def imported_modules(path):
    """Returns the modules that a file imports, also within functions; of packages, the modules."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relative to itself"
            for alias in node.names:
                module = f"{node.module}.{alias.name}"
                yield module if file_of(module) else node.module


def file_of(module):
    """Returns the file of a module of ours, or None."""
    base = ROOT.joinpath(*module.split("."))
    files = (base.with_suffix(".py"), base / "__init__.py")
    return next((file for file in files if file.exists()), None)


def room_of(path):
    """Returns the room of a file of ours."""
    folder = path.relative_to(ROOT).parent.as_posix()
    is_beside_folders = folder in PACKAGES and path.name != "__init__.py"
    return f"{folder}/{path.stem}" if is_beside_folders else folder


def find_imports():
    """Returns the modules that each room imports, with the files that do."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            modules = found.setdefault(room_of(path), {})
            for module in imported_modules(path):
                modules.setdefault(module, path.relative_to(ROOT).as_posix())
    return found


IMPORTS = find_imports()
ARROWS = {
    room: {room_of(file_of(module)): path for module, path in modules.items() if file_of(module)}
    for room, modules in IMPORTS.items()
}
"""The rooms that each room imports, with a file that does; itself may be among them."""


def test_every_room_is_in_the_table():
    assert set(ARROWS) == set(ALLOWED)


@pytest.mark.parametrize("room", sorted(ARROWS))
def test_rooms_import_only_what_they_may(room):
    patterns = [room, *ALLOWED.get(room, [])]
    wrong = {
        other: path
        for other, path in ARROWS[room].items()
        if not any(fnmatch.fnmatchcase(other, pattern) for pattern in patterns)
    }
    assert not wrong, f"{room} must not import {wrong}"


def test_packages_import_those_before_them():
    for room, others in ARROWS.items():
        package = PACKAGES.index(room.split("/")[0])
        assert all(PACKAGES.index(other.split("/")[0]) <= package for other in others), room


def test_no_rooms_import_each_other():
    """Not in a circle either; the folders of one backend belong to `backends`."""
    graph = {}
    for room, others in ARROWS.items():
        name = layer_of(room)
        graph.setdefault(name, set()).update({layer_of(other) for other in others} - {name})
    tuple(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError with the circle


def layer_of(room):
    return "/".join(room.split("/")[:2])


@pytest.mark.parametrize("engine", ENGINES)
def test_only_its_backend_imports_an_engine(engine):
    for room, modules in IMPORTS.items():
        found = [path for module, path in modules.items() if module.split(".")[0] == engine]
        assert not found or room == ENGINES[engine], found
    assert any(module.split(".")[0] == engine for module in IMPORTS[ENGINES[engine]])


def test_the_check_sees_an_import(tmp_path):
    path = tmp_path / "x.py"
    path.write_text(
        "from tfcluster import metrics, DEC\n"
        "def f():\n    from flwr.client import NumPyClient\n    import tfcluster.dec.estimator"
    )
    modules = list(imported_modules(path))
    assert modules == ["tfcluster.metrics", "tfcluster", "flwr.client", "tfcluster.dec.estimator"]
    rooms = [room_of(file_of(module)) for module in modules if file_of(module)]
    assert rooms == ["tfcluster/metrics", "tfcluster", "tfcluster/dec"]


def loaded_by(statement):
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return set(result.stdout.split())


def test_import_is_light():
    loaded = loaded_by("import tfcluster, tfcluster.cli.main, federated")
    assert not loaded & {"tensorflow", "sklearn", "matplotlib", *ENGINES}


def test_no_engine_is_loaded_by_using_the_package():
    loaded = loaded_by("from tfcluster import *")
    assert "tensorflow" in loaded
    assert not loaded & set(ENGINES)


def test_public_names():
    import tfcluster

    expected = {
        "DEC",
        "ClusterGAN",
        "ClusteringLayer",
        "InputError",
        "config",
        "gan_losses",
        "gan_networks",
        "load_data",
        "metrics",
        "target_distribution",
    }
    assert set(tfcluster.__all__) == expected
    assert expected <= set(dir(tfcluster))
    modules = {"gan_losses": "losses", "gan_networks": "networks"}
    for name in expected:
        assert getattr(tfcluster, name).__name__.split(".")[-1] == modules.get(name, name)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = tfcluster.nothing
