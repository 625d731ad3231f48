"""Making TFF's environment, with a uv that makes a small one; `make tff` makes the real one."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import federated
from federated.backends import tff_environment
from federated.backends.tff_environment import (
    VARIABLE,
    NoPythonError,
    find_folder,
    find_python,
    is_available,
    is_complete,
    make_environment,
    prepare_command,
)
from tfcluster import InputError
from tfcluster.runtime import read_version

# Writes down what it is asked to do. Installing, it first leaves half a package; then waits while
# there is a file `wait`, and fails if there is a file `fail`.
UV = """#!/bin/sh
here=$(dirname "$0")
echo "$1" >> "$here/calls"
if [ "$1" = venv ]; then
    for folder; do :; done
    mkdir -p "$folder/bin"
    ln -s {python} "$folder/bin/python"
elif [ "$1" = python ]; then
    if [ -e "$here/fail" ]; then echo "no network" >&2; exit 1; fi
else
    folder=$(dirname "$(dirname "$5")")
    [ ! -e "$folder/half" ] || exit 3
    echo 1 > "$folder/half"
    while [ -e "$here/wait" ]; do sleep 0.05; done
    if [ -e "$here/fail" ]; then echo "no such"; echo "  package"; exit 1; fi
    mv "$folder/half" "$folder/whole"
fi
"""


@pytest.fixture
def uv(tmp_path, monkeypatch):
    """The folder of a uv that is found before any other."""
    folder = tmp_path / "uv"
    folder.mkdir()
    (folder / "uv").write_text(UV.format(python=sys.executable))
    (folder / "uv").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


@pytest.fixture
def target(tmp_path):
    return tmp_path / "cache" / "tff"


def start_making(target):
    return subprocess.Popen(
        [sys.executable, "-m", "federated.backends.tff_environment", "--folder", str(target)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def await_file(path):
    limit = time.monotonic() + 30
    while not path.exists() and time.monotonic() < limit:
        time.sleep(0.02)
    assert path.exists()


def calls(uv):
    return (uv / "calls").read_text().split()


def test_it_is_made_once(uv, target, capsys):
    assert not is_complete(target)
    assert make_environment(target) == target
    assert is_complete(target)
    assert (target / "whole").exists()
    told = capsys.readouterr().err
    assert str(target) in told and "two minutes" in told and "2.8 GB" in told
    make_environment(target)
    assert calls(uv) == ["venv", "pip"]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_an_interrupted_one_is_made_anew(uv, target, number):
    (uv / "wait").write_text("")
    with start_making(target) as making:
        await_file(target / "half")
        os.killpg(making.pid, number)
        making.communicate(timeout=20)
    assert making.returncode != 0
    assert not is_complete(target)
    (uv / "wait").unlink()
    make_environment(target)
    assert is_complete(target)
    assert calls(uv) == ["venv", "pip"] * 2


def test_two_processes_make_one(uv, target):
    (uv / "wait").write_text("")
    with start_making(target) as first:
        await_file(target / "half")
        with start_making(target) as second:
            assert "Waiting for another process" in second.stderr.readline()
            (uv / "wait").unlink()
            for process in (first, second):
                said, _ = process.communicate(timeout=20)
                assert (process.returncode, said.strip()) == (0, str(target))
    assert calls(uv) == ["venv", "pip"]


def test_what_a_killed_process_started_is_waited_for(uv, target):
    """It would go on writing to the folder."""
    (uv / "wait").write_text("")
    with start_making(target) as first:
        await_file(target / "half")
        first.kill()
        first.wait()
        with start_making(target) as second:
            assert "Waiting for another process" in second.stderr.readline()
            (uv / "wait").unlink()
            second.communicate(timeout=20)
    assert second.returncode == 0
    assert is_complete(target)
    assert calls(uv) == ["venv", "pip"] * 2


def test_a_failure_is_one_line(uv, target):
    (uv / "fail").write_text("")
    with start_making(target) as making:
        _, told = making.communicate(timeout=20)
    *_, last = told.splitlines()
    assert making.returncode == 1
    assert "could not be made" in last and last.endswith("uv said: no such package")
    assert not is_complete(target)
    (uv / "fail").unlink()
    assert is_complete(make_environment(target))


def test_other_files_are_left_alone(uv, target):
    target.mkdir(parents=True)
    (target / "thesis.tex").write_text("1")
    with pytest.raises(InputError, match=r"new or empty folder.*holds other files"):
        make_environment(target)
    assert [path.name for path in target.iterdir()] == ["thesis.tex"]


def test_another_lock_makes_it_anew(uv, target, monkeypatch):
    make_environment(target)
    monkeypatch.setattr(tff_environment, "_hash_lock", lambda: "another")
    assert not is_complete(target)
    assert is_complete(make_environment(target))


def test_without_python_3_11(uv, target, monkeypatch):
    monkeypatch.setattr(tff_environment, "_find_python_3_11", lambda: None)
    assert tff_environment._find_steps(target)[0][-2] == "3.11"  # which uv fetches
    assert calls(uv) == ["python"]
    (uv / "fail").write_text("")
    with pytest.raises(NoPythonError, match=r"Python 3\.11.*uv could not fetch it: no network\."):
        make_environment(target)
    monkeypatch.setattr(tff_environment, "_find_uv", lambda: None)
    with pytest.raises(NoPythonError, match=r"Python 3\.11.*none was found\. Install it"):
        make_environment(target)
    assert not is_complete(target)


def test_without_uv(target, monkeypatch):
    monkeypatch.setattr(tff_environment, "_find_uv", lambda: None)
    monkeypatch.setattr(tff_environment, "_find_python_3_11", lambda: "/python3.11")
    venv, pip = tff_environment._find_steps(target)
    assert venv[:3] == ["/python3.11", "-m", "venv"]
    assert pip[:4] == [str(target / "bin" / "python"), "-m", "pip", "install"]
    assert (
        "--no-deps" in pip and Path(pip[-1]).name == "requirements.txt" and Path(pip[-1]).exists()
    )


def test_a_python_that_is_found_is_3_11():
    found = tff_environment._find_python_3_11()
    if found is None:
        pytest.skip("there is no Python 3.11")
    version = subprocess.run([found, "--version"], capture_output=True, text=True, check=True)
    assert version.stdout.startswith("Python 3.11.")


def test_a_full_disk_is_seen_first(uv, target, monkeypatch):
    monkeypatch.setattr(tff_environment, "_GIGABYTES", 1e9)
    with pytest.raises(InputError, match=rf"GB free in .*{VARIABLE}"):
        make_environment(target)
    assert not (uv / "calls").exists()


def test_where_it_stands(tmp_path, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = find_folder()
    assert folder.parent == tmp_path / "tfcluster" and folder.name.startswith("tff-")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "mine"))
    assert find_folder() == tmp_path / "mine"


def test_the_python_that_runs_it(uv, target, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(target))
    monkeypatch.setattr(tff_environment, "_is_here", lambda: False)
    assert not is_available()
    assert find_python() == target / "bin" / "python"
    assert is_available()
    monkeypatch.setattr(tff_environment, "_is_here", lambda: True)
    assert find_python() == Path(sys.executable)


def test_another_process_runs_this_source(tmp_path, monkeypatch):
    """Though what is set for this Python would keep that one from starting."""
    monkeypatch.setattr(tff_environment, "_is_here", lambda: True)
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    command, variables = prepare_command("json.tool", tmp_path)
    assert command[-2:] == ["-m", "json.tool"]
    code = (
        "import federated, tfcluster.runtime as runtime; from pathlib import Path; "
        "print(Path(federated.__file__).resolve(), runtime.read_version())"
    )
    run = subprocess.run(
        [*command[:-2], "-c", code],
        env=variables,
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
    )
    assert run.stdout.split() == [str(Path(federated.__file__).resolve()), read_version()]
