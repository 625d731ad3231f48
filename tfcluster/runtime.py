"""Settings of a whole process that results depend on, and the words to report them in."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits


def set_threads(n_threads: int, *, per_operation: bool = False) -> None:
    """Lets TensorFlow run `n_threads` operations side by side, each on one thread.

    A batch of 256 rows is too small for two threads in one product; see `training.train_step`.
    Has to come before TensorFlow's first operation.

    Args:
      n_threads: Threads.
      per_operation: All threads in one operation after another instead, for networks with
        `GANConfig.has_large_products`.
    """
    import tensorflow as tf

    within, between = (n_threads, 1) if per_operation else (1, n_threads)
    tf.config.threading.set_intra_op_parallelism_threads(within)
    tf.config.threading.set_inter_op_parallelism_threads(between)


_SINGLE_THREADED = threading.RLock()


@contextlib.contextmanager
def single_threaded() -> Iterator[None]:
    """Lets BLAS and OpenMP use one thread; one such block at a time, since the limit is global."""
    with _SINGLE_THREADED, threadpool_limits(1):
        yield


def available_cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0))


def provenance() -> dict[str, Any]:
    """What a result needs to be compared with another: versions, machine, git revision."""
    packages = ("tfcluster", "tensorflow", "keras", "numpy", "scikit-learn")
    return {
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in packages},
        "machine": f"{platform.system()} {platform.machine()}, {_cpu_model()}",
        "cores": available_cores(),
        "git": git_revision(),
    }


def git_revision() -> str:
    """The commit of this source tree, with `+` if code was changed since; or "unknown"."""
    here = Path(__file__).parent
    try:
        revision = _git(here, "rev-parse", "HEAD")
        # Code alone: a result that was just added does not make the next one doubtful.
        changed = _git(here, "status", "--porcelain", "--untracked-files=no", "--", ":(top)*.py")
        return revision + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "unknown processor")
