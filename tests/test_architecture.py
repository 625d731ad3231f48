"""Who may import whom, and what importing costs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ENGINES = {"flwr", "tensorflow_federated", "ray"}
CARRIERS = {"federated/flower": {"tensorflow_federated"}, "federated/tff": {"flwr", "ray"}}
FORBIDDEN = {
    "tfcluster": {"federated", "benchmarks", *ENGINES},
    "federated": {"benchmarks", *ENGINES},
    **{folder: {"benchmarks", *others} for folder, others in CARRIERS.items()},
}


ALGORITHMS = {
    "aggregation", "autoencoder", "centroid_stage", "centroids", "clustergan", "dec", "dec_stages",
    "gan_codes", "gan_stages", "one_shot", "training",
}  # fmt: skip


def imported_modules(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module


def imported_packages(path):
    return (module.split(".")[0] for module in imported_modules(path))


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_imports_stay_within_the_layers(folder):
    carriers = [] if folder in CARRIERS else [ROOT / name for name in CARRIERS]
    paths = sorted((ROOT / folder).rglob("*.py"))
    assert paths
    for path in paths:
        if path.parent in carriers:
            continue
        wrong = FORBIDDEN[folder] & set(imported_packages(path))
        assert not wrong, f"{path.relative_to(ROOT)} imports {wrong}"


@pytest.mark.parametrize("folder", CARRIERS)
def test_carriers_know_no_algorithm(folder):
    """So they cannot favour one, and a new one reaches them untouched."""
    core = {f"federated.{name}" for name in ALGORITHMS}
    for path in sorted((ROOT / folder).rglob("*.py")):
        wrong = {
            m
            for m in imported_modules(path)
            if m in core or m.startswith("tfcluster.dec.estimator")
        }
        assert not wrong, f"{path.relative_to(ROOT)} imports {wrong}"
    elsewhere = [p for p in (ROOT / "federated").glob("*.py") if p.stem not in ALGORITHMS]
    for path in elsewhere:
        wrong = {m for m in imported_modules(path) if m.startswith(tuple(_dotted(CARRIERS)))}
        assert not wrong, f"{path.relative_to(ROOT)} imports {wrong}"


def _dotted(folders):
    return [folder.replace("/", ".") for folder in folders]


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
    loaded = loaded_by("import tfcluster, tfcluster.cli.main")
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
