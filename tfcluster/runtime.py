"""Settings of a process that results depend on, and reports of them."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from tfcluster.errors import InputError


def set_threads(n_threads: int, *, per_operation: bool = False) -> None:
    """Lets TensorFlow run `n_threads` operations side by side, each on one thread.

    A batch of 256 samples is too small for two threads in one product; see
    `training.loop.train_step`. Call it before TensorFlow's first operation.

    Args:
      n_threads: Number of threads.
      per_operation: Whether one operation at a time uses all threads instead, for networks with
        `GANConfig.has_large_products`.

    Raises:
      InputError: If there are more than `MOST_THREADS`.
    """
    check_threads(n_threads)
    import tensorflow as tf

    within, between = (n_threads, 1) if per_operation else (1, n_threads)
    tf.config.threading.set_intra_op_parallelism_threads(within)
    tf.config.threading.set_inter_op_parallelism_threads(between)


def grow_gpu_memory() -> None:
    """Lets TensorFlow take memory of GPUs as it needs it, so that processes can share them.

    Without this the first process takes all of it. Harmless without a GPU; untried with one. Call
    it before TensorFlow's first operation.
    """
    import tensorflow as tf

    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)


def describe_devices() -> str:
    """Returns the devices that TensorFlow computes on in this process, e.g. "1 GPU" or "CPU"."""
    import tensorflow as tf

    n_gpus = len(tf.config.get_visible_devices("GPU"))
    return f"{n_gpus} GPU{'s' * (n_gpus > 1)}" if n_gpus else "CPU"


_SINGLE_THREADED = threading.RLock()


@contextlib.contextmanager
def single_threaded() -> Iterator[None]:
    """Limits BLAS and OpenMP to one thread; the limit is global, so blocks wait for each other."""
    with _SINGLE_THREADED, threadpool_limits(1):
        yield


def count_cores() -> int:
    """Returns the number of cores this process may use."""
    return len(os.sched_getaffinity(0))


def read_version() -> str:
    """Returns the version of this package."""
    return importlib.metadata.version("tfcluster")


def refuse_newer(path: str | os.PathLike[str], version: Any) -> None:
    """Raises `InputError` for a file of a newer version, which may hold what this one ignores.

    Args:
      path: The file.
      version: The version of tfcluster that wrote it; anything but text is passed over.
    """
    ours = read_version()
    if isinstance(version, str) and _release(version) > _release(ours):
        raise InputError(
            f"{path} was written by tfcluster {version}, which is newer than this version, {ours}. "
            "Update tfcluster to read it."
        )


def _release(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)[:3]))


PACKAGES = (
    *("tfcluster", "tensorflow", "keras", "numpy", "scipy", "scikit-learn"),
    *("flwr", "ray", "tensorflow-federated"),
)
"""The packages that results may depend on; a centralized run does not need the last three."""

MOST_THREADS = 1024


def check_threads(n_threads: int) -> None:
    """Raises `InputError` for a number of threads at which TensorFlow would crash."""
    if not 1 <= n_threads <= MOST_THREADS:
        raise InputError(
            f"The number of threads must be between 1 and {MOST_THREADS}. Received: {n_threads}."
        )


def collect_provenance() -> dict[str, Any]:
    """Returns versions, machine and git revision, which may explain differences of results."""
    return {
        "python": platform.python_version(),
        **_find_versions(*PACKAGES),
        "machine": f"{platform.system()} {platform.machine()}, {_name_processor()}",
        "cores": count_cores(),
        "git": read_git_revision(),
    }


def _find_versions(*packages: str) -> dict[str, str]:
    """Returns the versions of installed packages."""
    found = {}
    for name in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def read_git_revision() -> str:
    """Returns the commit of this source tree, with `+` if code was changed since; or "unknown"."""
    here = Path(__file__).parent
    try:
        revision = _run_git(here, "rev-parse", "HEAD")
        # Only code: a result that was just added does not make the next one doubtful.
        changed = _run_git(
            here, "status", "--porcelain", "--untracked-files=no", "--", ":(top)*.py"
        )
        return revision + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _run_git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _name_processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "unknown processor")
