"""Settings every test shares."""

import os
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

GOLDEN = Path(__file__).parent / "golden"


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
