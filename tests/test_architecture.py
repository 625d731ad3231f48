"""Who may import whom, and what importing costs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ENGINES = {"flwr", "tensorflow_federated", "ray"}
FORBIDDEN = {
    "tfcluster": {"federated", "benchmarks", *ENGINES},
    "federated": {"benchmarks", *ENGINES},
}


def imported_packages(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_imports_stay_within_the_layers(folder):
    paths = sorted((ROOT / folder).rglob("*.py"))
    assert paths
    for path in paths:
        wrong = FORBIDDEN[folder] & set(imported_packages(path))
        assert not wrong, f"{path.relative_to(ROOT)} imports {wrong}"


def test_the_check_sees_an_import(tmp_path):
    (tmp_path / "x.py").write_text("def f():\n    from flwr.client import NumPyClient\n")
    assert set(imported_packages(tmp_path / "x.py")) == {"flwr"}


def loaded_by(statement):
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return set(result.stdout.split())


def test_import_is_light():
    loaded = loaded_by("import tfcluster, tfcluster.cli")
    assert not loaded & {"tensorflow", "sklearn", "matplotlib", *ENGINES}


def test_no_engine_is_loaded_by_using_the_package():
    loaded = loaded_by("from tfcluster import *")
    assert "tensorflow" in loaded
    assert not loaded & ENGINES


def test_public_names():
    import tfcluster

    expected = {
        "DEC",
        "ClusterGAN",
        "ClusteringLayer",
        "InputError",
        "gan_losses",
        "gan_networks",
        "load_data",
        "metrics",
        "target_distribution",
    }
    assert set(tfcluster.__all__) == expected
    assert expected <= set(dir(tfcluster))
    for name in expected:
        assert getattr(tfcluster, name).__name__.split(".")[-1] == name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = tfcluster.nothing
