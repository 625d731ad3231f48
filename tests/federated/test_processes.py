"""No process of a backend outlives the run: with real processes, and one that is a run."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from federated.backends.processes import MARK, backend_processes, end_processes, marked_processes

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
# A child that starts a grandchild in a session of its own, and ends at once: it has no parent.
ORPHAN = f"import subprocess, sys; subprocess.Popen({SLEEP!r}, start_new_session=True)"
# A run: a backend with a worker, then whatever the test says.
RUN = """
import signal, subprocess, sys, time
from pathlib import Path
from federated.backends.processes import backend_processes
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which `nohup` has its children ignore
with backend_processes(Path(sys.argv[1])) as mark:
    subprocess.Popen({sleep!r})
    subprocess.run([sys.executable, "-c", {orphan!r}], check=True)
    print(mark, flush=True)
    {then}
"""


def eventually(condition, seconds=15.0):
    limit = time.monotonic() + seconds
    while not condition() and time.monotonic() < limit:
        time.sleep(0.02)
    return condition()


def guardians(mark):
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if any(word.endswith(b"processes.py") for word in words) and mark.encode() in words:
            found.append(int(path.parent.name))
    return found


def start_run(scratch, then="time.sleep(600)"):
    scratch.mkdir()
    (scratch / "samples").write_text("1")
    code = RUN.format(sleep=SLEEP, orphan=ORPHAN, then=then)
    command = [sys.executable, "-c", code, str(scratch)]
    run = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    return run, run.stdout.readline().strip()


def test_children_and_orphans_are_gone_at_the_end():
    with backend_processes() as mark:
        child = subprocess.Popen(SLEEP)
        subprocess.run([sys.executable, "-c", ORPHAN], check=True)
        assert os.environ[MARK] == mark
        assert len(marked_processes(mark)) == 2 and child.pid in marked_processes(mark)
        assert os.getpid() not in marked_processes(mark)
        assert guardians(mark)
    assert MARK not in os.environ
    assert child.wait(timeout=5) == -signal.SIGKILL  # its number was still its own
    assert not marked_processes(mark) and not guardians(mark)


def test_the_end_may_be_an_exception():
    with contextlib.suppress(KeyError), backend_processes() as mark:
        child = subprocess.Popen(SLEEP)
        raise KeyError
    assert child.wait(timeout=5) == -signal.SIGKILL
    assert not guardians(mark)


def test_others_are_left_alone_and_blocks_can_be_nested():
    before = subprocess.Popen(SLEEP)
    with backend_processes() as outer:
        mine = subprocess.Popen(SLEEP)
        with backend_processes() as inner:
            within = subprocess.Popen(SLEEP)
            assert marked_processes(inner) == {within.pid}
        assert within.wait(timeout=5) == -signal.SIGKILL
        assert not marked_processes(inner)
        assert os.environ[MARK] == outer and marked_processes(outer) == {mine.pid}
    assert mine.wait(timeout=5) == -signal.SIGKILL
    assert before.poll() is None
    before.kill()
    before.wait()


def test_a_process_that_hides_its_environment_goes_with_its_parent():
    unmarked = {name: value for name, value in os.environ.items() if name != MARK}
    code = f"import subprocess; subprocess.Popen({SLEEP!r}, env={unmarked!r}).wait()"
    with backend_processes() as mark:
        child = subprocess.Popen([sys.executable, "-c", code])
        assert eventually(lambda: len(marked_processes(mark)) == 2)
    child.wait(timeout=5)
    assert not marked_processes(mark)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("whole_group", [False, True])
def test_a_killed_run_leaves_nothing(tmp_path, number, whole_group):
    run, mark = start_run(tmp_path / "scratch")
    assert len(marked_processes(mark)) == 2 and len(guardians(mark)) == 1
    (os.killpg if whole_group else os.kill)(run.pid, number)
    run.communicate(timeout=20)  # hangs as long as anybody holds the pipes
    assert run.returncode != 0
    assert eventually(lambda: not marked_processes(mark) and not guardians(mark))
    assert not (tmp_path / "scratch").exists()


def test_a_forked_copy_of_the_run_does_not_hold_the_guardian(tmp_path):
    forked = "import os\n    if os.fork() == 0: time.sleep(20); os._exit(0)\n    time.sleep(600)"
    run, mark = start_run(tmp_path / "scratch", forked)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    assert eventually(lambda: not marked_processes(mark) and not guardians(mark), 8)
    run.stdout.close()
    run.stderr.close()


def test_a_run_that_ends_well_leaves_nothing(tmp_path):
    run, mark = start_run(tmp_path / "scratch", "pass")
    _, errors = run.communicate(timeout=20)
    assert run.returncode == 0, errors
    assert not marked_processes(mark) and not guardians(mark)
    assert not (tmp_path / "scratch").exists()


def test_a_killed_guardian_is_not_needed_at_a_normal_end(tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with backend_processes(scratch) as mark:
        child = subprocess.Popen(SLEEP)
        os.kill(guardians(mark)[0], signal.SIGKILL)
    assert child.wait(timeout=5) == -signal.SIGKILL
    assert not scratch.exists()


def test_the_guardian_starts_fast_and_loads_nothing():
    from federated.backends import processes

    code = (
        f"import runpy, sys; sys.argv = ['x']\nrunpy.run_path({processes.__file__!r})\n"
        "print(*sys.modules)"
    )
    command = [sys.executable, "-I", "-S", "-c", code]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "tensorflow", "federated"} & set(loaded)


def test_ending_nothing():
    end_processes("no such mark")
