"""Finds or makes the environment that TensorFlow Federated runs in.

TFF 0.87, its newest release, runs on Python 3.11 and TensorFlow 2.14 only. So it has a virtual
environment of its own, which is made when TFF is first asked for, or by

    python -m federated.backends.tff_environment [--folder FOLDER]

It stands in `$TFCLUSTER_TFF_ENVIRONMENT` if that is set, else in the user's cache under a name with
a hash of TFF's lock. It holds packages only: a process there runs the source of the process that
starts it (`prepare_command`).

With uv on the path, or beside this Python, uv makes it, and fetches Python 3.11 where there is
none. Fetching it could not be tried: the machine this was written on had no access to where uv
gets it from.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tfcluster.errors import InputError


class NoPythonError(InputError):
    """There is no Python that TFF runs on."""


VARIABLE = "TFCLUSTER_TFF_ENVIRONMENT"
"""The variable that names the environment's folder."""

_LOCK = Path(__file__).parent / "tff" / "environment"
_MARK = "made-by-tfcluster"  # a file: empty until the environment is complete, then the lock's hash
_GIGABYTES = 2.8
_NOT_PASSED_ON = ("PYTHONHOME", "PYTHONWARNINGS", "PYTHONSTARTUP")  # are for this Python only
_IS_PYTHON_3_11 = "import sys, ensurepip, venv; sys.exit(sys.version_info[:2] != (3, 11))"


def find_folder() -> Path:
    """Returns the folder of the environment, whether it was made or not."""
    if named := os.environ.get(VARIABLE):
        return Path(named).absolute()
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "tfcluster" / f"tff-{_hash_lock()}"


def is_complete(folder: Path) -> bool:
    """Returns whether the environment was made, to its end and from today's lock."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return (folder / _MARK).read_text() == _hash_lock()
    return False


def is_available() -> bool:
    """Returns whether TFF can be run without making the environment first."""
    return _is_here() or is_complete(find_folder())


def find_python() -> Path:
    """Returns the Python that runs TFF: this one, where TFF is installed, or the environment's.

    Makes the environment if it is not there.

    Raises:
      InputError: If it cannot be made.
    """
    if _is_here():
        return Path(sys.executable)
    return make_environment(find_folder()) / "bin" / "python"


def make_environment(folder: Path) -> Path:
    """Makes the environment unless it is there, and tells so on standard error.

    Of several processes that ask for it, one makes it and the others wait. What an interrupted one
    left is removed.

    Args:
      folder: New, empty, or made by this function.

    Returns:
      The folder.

    Raises:
      NoPythonError: If there is no Python 3.11.
      InputError: If the folder is not free, or installing fails.
    """
    if is_complete(folder):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder) as lock:
        if not is_complete(folder):  # another process may have made it in between
            _make(folder, lock)
    return folder


def prepare_command(
    module: str, folder: Path, packages: Sequence[str] = ("tfcluster", "federated")
) -> tuple[list[str], dict[str, str]]:
    """Returns the command that runs a module of this process's source there, and its variables.

    Makes the environment if it is not there.

    Args:
      module: Name of the module, which runs as a script.
      folder: Where a folder of links to the source is made.
      packages: Names of the packages that the module imports from.

    Raises:
      InputError: If the environment cannot be made.
    """
    # neither the current folder nor the user's packages
    command = [str(find_python()), "-P", "-s", "-m", module]
    variables = {name: text for name, text in os.environ.items() if name not in _NOT_PASSED_ON}
    return command, {**variables, "PYTHONPATH": str(link_source(folder, packages))}


def link_source(folder: Path, packages: Sequence[str]) -> Path:
    """Makes a folder of links to this process's source, for the `PYTHONPATH` of another.

    So it is the same source in both, with its version, however it is installed here.

    Args:
      folder: Where the new folder is made.
      packages: Names of the packages.
    """
    source = Path(tempfile.mkdtemp(prefix="source-", dir=folder))
    for name in packages:
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        (source / name).symlink_to(Path(spec.origin).parent)
    version = importlib.metadata.version("tfcluster")
    facts = source / f"tfcluster-{version}.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: tfcluster\nVersion: {version}\n")
    return source


def _is_here() -> bool:
    return importlib.util.find_spec("tensorflow_federated") is not None


def _hash_lock() -> str:
    texts = [(_LOCK / name).read_bytes() for name in ("requirements.txt", "overrides.txt")]
    return hashlib.sha256(b"\0".join(texts)).hexdigest()[:16]


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[int]:
    """Lets one process at a time make the folder.

    Yields:
      A file descriptor, with which a child keeps the lock if this process is killed.
    """
    with folder.with_name(folder.name + ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _tell(f"Waiting for another process, which makes {folder} ...")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def _make(folder: Path, lock: int) -> None:
    _clear(folder)
    steps = _find_steps(folder)
    free = shutil.disk_usage(folder).free / 1e9
    if free < _GIGABYTES:
        raise InputError(
            f"The environment of TensorFlow Federated needs {_GIGABYTES} GB. Received: {free:.1f} "
            f"GB free in {folder}. Set {VARIABLE} to a folder elsewhere."
        )
    _tell(
        f"Making the environment of TensorFlow Federated in {folder}, once: about two minutes, "
        f"{_GIGABYTES} GB ..."
    )
    start = time.monotonic()
    for step in steps:
        _run(step, folder, lock)
    whole = folder / f"{_MARK}.new"
    whole.write_text(_hash_lock())
    whole.rename(folder / _MARK)
    _tell(f"Made in {time.monotonic() - start:.0f} seconds.")


def _clear(folder: Path) -> None:
    """Leaves an empty, marked folder.

    Raises:
      InputError: If it holds anything that was not put there by an earlier call.
    """
    folder.mkdir(exist_ok=True)
    if any(folder.iterdir()) and not (folder / _MARK).exists():
        raise InputError(
            "The environment of TensorFlow Federated is made in a new or empty folder. "
            f"Received: {folder}, which holds other files. Set {VARIABLE} to another folder."
        )
    (folder / _MARK).write_text("")  # not complete, and removed last
    for path in sorted(folder.iterdir(), key=lambda path: path.name == _MARK):
        if path.name != _MARK:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _find_steps(folder: Path) -> list[list[str]]:
    """Returns the commands that make the environment.

    Raises:
      NoPythonError: If there is no Python 3.11.
    """
    lock = str(_LOCK / "requirements.txt")
    uv = _find_uv()
    python = _find_python_3_11() or _fetch_python_3_11(uv)
    inner = str(folder / "bin" / "python")
    if uv:
        return [
            # with pip, for those who work in it by hand
            [uv, "venv", "--quiet", "--seed", "--allow-existing", "--python", python, str(folder)],
            [uv, "pip", "install", "--quiet", "--python", inner, "--no-deps", "--compile-bytecode",
             "--requirement", lock],
        ]  # fmt: skip
    return [
        [python, "-m", "venv", str(folder)],
        [inner, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
         "--requirement", lock],
    ]  # fmt: skip


def _fetch_python_3_11(uv: str | None) -> str:
    """Returns the name of a Python that uv fetched.

    Raises:
      NoPythonError: If there is no uv, or it cannot fetch one.
    """
    said = ""
    if uv:
        _tell("Fetching Python 3.11 with uv ...")
        fetched = subprocess.run([uv, "python", "install", "3.11"], capture_output=True, text=True)
        if fetched.returncode == 0:
            return "3.11"
        said = f" uv could not fetch it: {_shorten(fetched.stderr)}."
    raise NoPythonError(
        "TensorFlow Federated needs Python 3.11 with its venv module, and none was found."
        f"{said} Install it, or uv with access to the network, or use another backend."
    )


def _find_uv() -> str | None:
    return shutil.which("uv") or shutil.which("uv", path=Path(sys.executable).parent)


def _find_python_3_11() -> str | None:
    """Returns a Python 3.11 that can make environments: this one, the path's, or pyenv's."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [
        getattr(sys, "_base_executable", sys.executable),
        shutil.which("python3.11"),
        *map(str, sorted(pyenv.glob("3.11*/bin/python3.11"), reverse=True)),
    ]
    for candidate in filter(None, candidates):
        with contextlib.suppress(OSError):  # one that cannot be started is none
            # of pyenv's, one on the path may only say that no version was chosen
            if not subprocess.run(
                [candidate, "-c", _IS_PYTHON_3_11], capture_output=True
            ).returncode:
                return str(candidate)
    return None


def _run(step: Sequence[str], folder: Path, lock: int) -> None:
    run = subprocess.run(
        step,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        pass_fds=(lock,),
    )
    if run.returncode:
        raise InputError(
            f"The environment of TensorFlow Federated could not be made in {folder}. "
            f"{Path(step[0]).name} said: {_shorten(run.stdout)}"
        )


def _shorten(output: str) -> str:
    return " ".join(output.split())[-500:] or "nothing"


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Makes the environment, and prints its folder.

    The exit code is 3 where there is no Python 3.11, and 1 after other errors.
    """
    parser = argparse.ArgumentParser(description="Make the environment of TensorFlow Federated.")
    parser.add_argument("--folder", type=Path, help="the environment's folder [default: the cache]")
    asked = parser.parse_args()
    try:
        print(make_environment(asked.folder.absolute() if asked.folder else find_folder()))
    except InputError as error:
        _tell(str(error))
        sys.exit(3 if isinstance(error, NoPythonError) else 1)


if __name__ == "__main__":
    main()
