"""The wheel and the source distribution hold all that an installed package needs."""

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DATA = (
    "benchmarks/compare/templates/",
    "federated/backends/tff/environment/requirements.txt",
    "federated/backends/tff/environment/overrides.txt",
    "tfcluster/py.typed",
)
"""Files that are not Python, at least one under each name."""


@pytest.fixture(scope="module")
def distributions(tmp_path_factory):
    """Builds the source distribution of a copy of the tree, and from it the wheel."""
    folder = tmp_path_factory.mktemp("distributions")
    listed = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard"],
        check=True, capture_output=True, text=True,
    ).stdout.splitlines()  # fmt: skip
    for name in filter(lambda name: (ROOT / name).is_file(), listed):
        copy = folder / "tree" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, folder / "tree"]
    subprocess.run(command, check=True, capture_output=True)
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return sdist, wheel


@pytest.mark.parametrize("name", DATA)
def test_files_that_are_not_python_are_in_both(distributions, name):
    sdist, wheel = distributions
    with tarfile.open(sdist) as file:
        assert any(name in member for member in file.getnames())
    with zipfile.ZipFile(wheel) as file:
        assert any(member.startswith(name) for member in file.namelist())


def test_the_wheel_holds_no_tests(distributions):
    with zipfile.ZipFile(distributions[1]) as file:
        packages = {member.split("/")[0] for member in file.namelist()}
    assert {name for name in packages if "." not in name} == {
        "tfcluster", "federated", "benchmarks",
    }  # fmt: skip


def test_the_installed_wheel_trains_from_another_folder(distributions, tmp_path):
    home = tmp_path / "venv"
    venv.create(home, with_pip=True)
    python = home / "bin/python"
    pip = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "COV"))}
    subprocess.run([*pip, distributions[1]], check=True, env=clean)
    # this environment's packages, after the wheel
    (found,) = home.glob("lib/python*/site-packages")
    (found / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    words = "train dec --dataset digits --out run --set pretraining.epochs=1 --set "
    result = subprocess.run(
        [home / "bin/tfcluster", *words.split(), "max_steps=20", "--no-pictures"],
        cwd=folder, env=clean, capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert (folder / "run/labels.csv").exists()
    where = "import tfcluster, federated, benchmarks; print(tfcluster.__file__, federated.__file__)"
    shown = subprocess.run(
        [python, "-c", where], cwd=folder, env=clean, capture_output=True, text=True, check=True
    )
    assert shown.stdout.count(str(home)) == 2
