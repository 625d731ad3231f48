"""What a result says of the code behind it."""

import subprocess

import pytest

from tfcluster import runtime
from tfcluster.errors import InputError


def test_the_revision_is_marked_only_by_changed_code(tmp_path, monkeypatch):
    def git(*words):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        command = ["git", "-C", str(tmp_path), *identity, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    code, results = tmp_path / "package" / "code.py", tmp_path / "results.jsonl"
    code.parent.mkdir()
    for path in (code, results):
        path.write_text("\n")
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "-m", "first")
    monkeypatch.setattr(runtime, "__file__", str(code))
    revision = git("rev-parse", "HEAD")
    assert runtime.read_git_revision() == revision
    results.write_text("{}\n")
    assert runtime.read_git_revision() == revision
    code.write_text("1\n")
    assert runtime.read_git_revision() == f"{revision}+"


def test_outside_a_repository_there_is_no_revision(tmp_path, monkeypatch):
    monkeypatch.setattr(runtime, "__file__", str(tmp_path / "code.py"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert runtime.read_git_revision() == "unknown"


def test_a_billion_threads_are_refused():
    """TensorFlow would end with a segmentation fault."""
    with pytest.raises(InputError, match=r"between 1 and 1024\. Received: 1000000000"):
        runtime.set_threads(10**9)
