"""Temporary files of commands."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tfcluster.cli.scratch import scratch_folder

LEAVES_A_FILE = """
import subprocess, sys, tempfile
from tfcluster.cli.scratch import scratch_folder
with scratch_folder() as folder:
    tempfile.NamedTemporaryFile(prefix="__autograph_generated_file", delete=False)
    child = "import tempfile; tempfile.NamedTemporaryFile(delete=False)"
    subprocess.run([sys.executable, "-c", child], check=True)
    print(folder, flush=True)
    sys.stdin.readline()
"""


def start(folder):
    process = subprocess.Popen(
        [sys.executable, "-c", LEAVES_A_FILE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(folder)},
    )
    return process, Path(process.stdout.readline().strip())


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_command_leaves_no_temporary_files(temporary):
    process, folder = start(temporary)
    assert len(list(folder.iterdir())) == 2  # its own file and its child's
    process.communicate("\n")
    assert process.returncode == 0
    assert list(temporary.iterdir()) == []


def test_what_dead_processes_left_is_removed_at_the_next_start(temporary):
    alive, of_alive = start(temporary)
    dead, of_dead = start(temporary)
    dead.send_signal(signal.SIGKILL)
    dead.communicate()
    assert of_dead.exists()
    (temporary / "tfcluster-notes").mkdir()
    before = tempfile.gettempdir(), os.environ.get("TMPDIR")
    with scratch_folder() as own:
        assert {*temporary.iterdir()} == {own, of_alive, temporary / "tfcluster-notes"}
        assert tempfile.gettempdir() == str(own)
    assert (tempfile.gettempdir(), os.environ.get("TMPDIR")) == before
    alive.communicate("\n")
    assert {*temporary.iterdir()} == {temporary / "tfcluster-notes"}
