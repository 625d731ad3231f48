"""Settings every test shares."""

import os
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

NO_TFF = "needs the environment of TensorFlow Federated: make tff"

GOLDEN = Path(__file__).parent / "golden"


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their marks
def pytest_collection_modifyitems(items):
    """Marks cases of the backend "tff", and skips what cannot run without making 2.8 GB."""
    from federated.backends.tff_environment import is_available

    for item in items:
        case = getattr(item, "callspec", None)
        if case and any(
            isinstance(value, str) and value == "tff" for value in case.params.values()
        ):
            item.add_marker("tff")
        if item.get_closest_marker("tff") and not is_available():
            item.add_marker(pytest.mark.skip(reason=NO_TFF))


@pytest.fixture(scope="session")
def golden_dec():
    """Values of DEC-keras on fixed numbers; `loop_*` on the first samples of Pendigits."""
    with np.load(GOLDEN / "dec.npz") as file:
        return dict(file)


@pytest.fixture(scope="session")
def pendigits_2000():
    """The samples `loop_*` was computed on, `(2000, 16)` float32."""
    with np.load(GOLDEN / "pendigits_2000.npz") as file:
        return file["x"].astype(np.float32) / np.float32(100)


@pytest.fixture(scope="session")
def digits():
    """scikit-learn's digits, unit-scaled: samples and labels."""
    from tfcluster import load_data

    data = load_data("digits")
    return data.X, data.y
