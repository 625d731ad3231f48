"""Folders of runs: who owns them, what a kill leaves, and what a resume needs."""

import json
import os
import signal
import subprocess
import sys
import threading

import pytest

from tfcluster.cli.options import DECExecution, DECOptions
from tfcluster.cli.recorded_options import complete_options
from tfcluster.cli.run_folder import RunFolder, open_run_folder
from tfcluster.config import DECConfig
from tfcluster.errors import InputError

CLAIM = """
import sys
from tfcluster.cli.run_folder import RunFolder
from tfcluster.errors import InputError
print("ready", flush=True)
sys.stdin.readline()
try:
    run = getattr(RunFolder, sys.argv[1])(sys.argv[2], *map(eval, sys.argv[3:]))
    print("owner", flush=True)
except InputError as error:
    print(error, flush=True)
sys.stdin.readline()
"""


class Process:
    """A process that claims a folder when it is told to, and holds it until it is killed."""

    def __init__(self, *words):
        self.process = subprocess.Popen(
            [sys.executable, "-c", CLAIM, *map(str, words)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout.readline() == "ready\n"

    def begin(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def answer(self):
        return self.process.stdout.readline().strip()

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_one_of_several_processes_gets_a_folder(tmp_path):
    processes = [Process("create", tmp_path / "run", "{}") for _ in range(4)]
    for process in processes:
        process.begin()
    answers = [process.answer() for process in processes]
    assert answers.count("owner") == 1
    owner = processes[answers.index("owner")].process.pid
    # an owner that has not written its number yet is "another process"
    told = ("already holds a run", f"alive: process {owner} on ", "alive: another process.")
    for answer in answers:
        assert answer == "owner" or any(words in answer for words in told)
    for process in processes:
        process.kill()


def test_a_living_run_is_not_joined_and_a_dead_one_is_taken_over(tmp_path):
    owner = Process("create", tmp_path / "run", "{}")
    owner.begin()
    assert owner.answer() == "owner"
    with pytest.raises(InputError, match=f"still alive: process {owner.process.pid} on "):
        RunFolder.resume(tmp_path / "run")
    owner.kill()
    run = RunFolder.resume(tmp_path / "run")
    with pytest.raises(InputError, match=f"still alive: process {os.getpid()} on "):
        RunFolder.resume(tmp_path / "run")
    with run.announce(quiet()):
        pass
    assert files(tmp_path / "run") == ["config.json"]
    RunFolder.resume(tmp_path / "run")


def quiet():
    from rich.console import Console

    return Console(quiet=True)


def leave_temporaries(folder):
    """Leaves what SIGKILL leaves while config.json and a checkpoint are written."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in (".config.json.4194305.139637976727552", ".checkpoint.npz.4194305.13963797672755"):
        (folder / name).write_text("cut")
    (folder / ".lock").write_text("process 4194305 on nowhere")


def test_a_run_killed_while_its_config_is_written_leaves_no_stuck_folder(tmp_path):
    leave_temporaries(tmp_path)
    RunFolder.create(tmp_path, {"seed": 3})
    assert files(tmp_path) == [".lock", "config.json"]


def test_nor_does_one_number_of_clusters(tmp_path):
    run = RunFolder.create(tmp_path, {"n_clusters": "2:3"})
    leave_temporaries(tmp_path / "2_clusters")
    within = run.open_subfolder("2_clusters", n_clusters="2")
    assert within.config["n_clusters"] == "2"
    assert within.id != run.id


def test_a_resume_removes_unfinished_files_and_nothing_else(tmp_path):
    RunFolder.create(tmp_path / "run", {})._lock.release()
    leave_temporaries(tmp_path / "run" / "2_clusters")
    others = [".checkpoint.npz", ".mine.1", "a.1.2"]
    for name in others:
        (tmp_path / "run" / name).write_text("kept")
    RunFolder.resume(tmp_path / "run")
    assert files(tmp_path / "run") == sorted(
        [*others, ".lock", "config.json", "2_clusters", "2_clusters/.lock"]
    )


def test_a_folder_of_others_is_left_as_it_is(tmp_path):
    (tmp_path / "thesis.txt").write_text("")
    with pytest.raises(InputError, match="is not empty"):
        RunFolder.create(tmp_path, {})
    assert files(tmp_path) == ["thesis.txt"]


def test_a_run_does_not_need_its_config_file(tmp_path):
    names = ("algorithm", "dataset", "preset", "seed", "threads", "overrides")
    run = RunFolder.create(tmp_path, dict.fromkeys(names, 1))
    (tmp_path / "config.json").unlink()
    assert run.describe() == dict.fromkeys(names, 1)
    assert run.open_subfolder("2_clusters").describe() == dict.fromkeys(names, 1)


def test_a_run_of_a_newer_version(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"tfcluster": "99.0"}))
    with pytest.raises(InputError, match=r"written by tfcluster 99\.0, which is newer"):
        RunFolder.resume(tmp_path)


GROUPS = (DECOptions, DECExecution)


@pytest.fixture
def started(tmp_path):
    """The folder of a run that ended early."""
    options = DECOptions(seed=7, threads=1, n_clusters="4", overrides={"dims": [16, 4]})
    execution = DECExecution(out=tmp_path / "run", checkpoint_seconds=5.0)
    run = open_run_folder(options, DECConfig(), tmp_path / "run", execution)
    run._lock.release()
    return tmp_path / "run", options


def complete(chosen, **execution):
    chosen, execution = complete_options(GROUPS, (chosen, execution))
    return DECOptions(**chosen), DECExecution(**execution)


def test_a_resume_needs_nothing_but_the_folder(started):
    folder, options = started
    found, execution = complete({}, out=folder, resume=True)
    assert found == options
    assert execution == DECExecution(folder, True, checkpoint_seconds=5.0)
    assert complete({"seed": 7}, out=folder, resume=True)[0] == options
    _, other = complete({}, out=folder, resume=True, checkpoint_seconds=9.0)
    assert other.checkpoint_seconds == 9.0


def test_a_resume_names_the_options_that_differ(started):
    folder, _ = started
    with pytest.raises(InputError, match=r"seed was 7, now 0, overrides was .* now \{\}"):
        complete({"seed": 0, "overrides": {}}, out=folder, resume=True)


@pytest.mark.parametrize(
    ("name", "value"),
    [("threads", "two"), ("threads", True), ("threads", 10**9), ("threads", []), ("seed", -1),
     ("dataset", None), ("overrides", [1]), ("preset", {})],
)  # fmt: skip
def test_a_recorded_option_of_another_type(started, name, value):
    folder, _ = started
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, name: value}))
    with pytest.raises(InputError, match=f"`{name}` has a value that no run has"):
        complete({}, out=folder, resume=True)


def test_what_config_json_holds_can_be_given_back(started, tmp_path):
    folder, options = started
    found, execution = complete({}, config_file=folder / "config.json", out=tmp_path / "new")
    assert found == options
    assert execution.checkpoint_seconds == 5.0


TOML = """
dataset = "digits"
n_clusters = 12
checkpoint_seconds = 1
[overrides]
dims = [8, 3]
pretraining.epochs = 4
"""


def test_options_in_a_file_give_way_to_those_of_the_command_line(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text(TOML)
    chosen = {"seed": 2, "overrides": {"pretraining.epochs": 9}}
    options, execution = complete(chosen, config_file=path, out=tmp_path / "run")
    expected = {"dims": [8, 3], "pretraining.epochs": 9}
    assert options == DECOptions(n_clusters="12", seed=2, overrides=expected)
    assert execution.checkpoint_seconds == 1


@pytest.mark.parametrize(
    ("text", "rule"),
    [("sed = 1", "Did you mean 'seed'"), ("seed = 1.5", "`seed` has a value"), ("seed", "--config"),
     ('algorithm = "clustergan"', "must hold options of dec"), ("overrides = 3", "fields by name")],
)  # fmt: skip
def test_mistakes_in_a_file_of_options(tmp_path, text, rule):
    (tmp_path / "run.toml").write_text(text)
    with pytest.raises(InputError, match=rule):
        complete({}, config_file=tmp_path / "run.toml", out=tmp_path / "run")


@pytest.mark.parametrize(
    ("words", "rule"),
    [(["--dataset", "patients.csv"], "patients.csv"), (["--dataset", "digts"], "'digits'"),
     (["--out", "."], "not empty"), (["--out", "x", "--resume"], "holds no run")],
)  # fmt: skip
def test_a_mistyped_path_or_an_existing_folder_needs_no_tensorflow(tmp_path, words, rule):
    (tmp_path / "file").write_text("")
    script = (
        "import sys\n"
        "from tfcluster.cli.main import main\n"
        "try:\n    main()\n"
        "finally:\n    print(*sys.modules)\n"
    )
    for command in (["train", "dec"], ["train", "clustergan"], ["federate", "dec"]):
        result = subprocess.run(
            [sys.executable, "-c", script, *command, *words],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            check=False,
        )
        assert result.returncode == 2, result.stderr
        assert rule in result.stderr
        assert len(result.stderr.splitlines()) == 1
        assert not {"tensorflow", "sklearn", "matplotlib"} & set(result.stdout.split())


def test_a_network_is_written_whole_or_not_at_all(tmp_path):
    """The kernel itself answers ENOSPC: the temporary file is /dev/full."""
    import keras

    network = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2)], name="critic")
    run = RunFolder.create(tmp_path / "run", {})
    run.write_network(network)
    path = tmp_path / "run" / "critic.keras"
    before = path.read_bytes()
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    temporary.symlink_to("/dev/full")
    with pytest.raises(InputError, match=r"critic\.keras: No space left on device"):
        run.write_network(network)
    assert path.read_bytes() == before
    assert keras.saving.load_model(path).count_params() == 8


def test_events_that_are_a_file(tmp_path):
    run = RunFolder.create(tmp_path / "run", {})
    (tmp_path / "run" / "events").write_text("")
    with pytest.raises(InputError, match="events must be a folder"):
        run.log({"phase": "pretrain", "step": 1, "loss": 0.5})


def test_events_that_are_a_link_to_nowhere(tmp_path):
    run = RunFolder.create(tmp_path / "run", {})
    (tmp_path / "run" / "events").symlink_to("nowhere")
    with pytest.raises(InputError, match="Cannot write TensorBoard's files"):
        run.log({"phase": "pretrain", "step": 1, "loss": 0.5})


def test_a_folder_whose_name_is_not_utf_8(tmp_path):
    """As any name beyond ASCII under `LC_ALL=POSIX`."""
    run = RunFolder.create(tmp_path / "z\udce9", {})
    run.log({"phase": "pretrain", "step": 1, "loss": 0.5})
    assert any((run.path / "events").iterdir())
