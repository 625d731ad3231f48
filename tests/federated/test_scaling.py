"""Scaling found by clients together is that of the pooled rows."""

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import StandardScaler

from federated.algorithms.standardization import Moments, Standardizer, rms_factor, standardizer
from federated.backends.local import LocalCarrier
from federated.core import sums as parts
from federated.core.sampling import Plan
from federated.data.client_store import ClientStore
from tests.federated.helpers import clients_of
from tfcluster import load_data
from tfcluster.config import from_dict, to_dict
from tfcluster.data.loading import load_groups
from tfcluster.errors import InputError

FOLDER = os.environ.get("TFCLUSTER_DATA")
real = pytest.mark.skipif(not FOLDER, reason="TFCLUSTER_DATA names no folder of data sets")


def table(n: int = 200, seed: int = 0) -> np.ndarray:
    """Columns of all kinds: plain, far off, constant, sparse, without values; a tenth missing."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 6))
    x[:, 1] = 1e4 + x[:, 1] / 4
    x[:, 2] = 0.1
    x[rng.random(x.shape) < 0.1] = np.nan
    x[:, 3] = np.where(np.arange(n) == n - 1, 5.0, np.nan)
    x[:, 4] = np.nan
    return x.astype(np.float32)


def central(x: np.ndarray) -> np.ndarray:
    filled = SimpleImputer(keep_empty_features=True).fit_transform(x.astype(np.float64))
    return StandardScaler().fit_transform(filled).astype(np.float32)


def on(clients: list[np.ndarray]) -> tuple:
    participants = Plan(len(clients)).round(0, everyone=True)
    return LocalCarrier(clients_of(clients)), participants, clients[0].shape[1]


def assert_scales_as_pooled(x: np.ndarray, clients: list[np.ndarray], expected: np.ndarray):
    found = standardizer(*on(clients))(x)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("ends", [[], [7, 50, 50, 51], range(1, 200)])
def test_equal_to_scikit_learn_on_the_pooled_rows(ends):
    x = table()
    assert_scales_as_pooled(x, np.split(x, list(ends)), central(x))


def test_rows_are_summed_in_parts(monkeypatch):
    monkeypatch.setattr(parts, "_PART_NUMBERS", 7 * 6)
    test_equal_to_scikit_learn_on_the_pooled_rows([50])


def test_by_hand():
    # A column with 1, 3 and a missing value: mean 2, deviations -1, 1 and 0 over three rows.
    x = np.array([[1, np.nan, 7], [3, np.nan, 7], [np.nan, np.nan, 7]], np.float32)
    found = standardizer(*on([x[:1], x[1:]]))
    np.testing.assert_allclose(found.mean, [2, 0, 7])
    np.testing.assert_allclose(found.sd, [np.sqrt(2 / 3), 1, 1])
    expected = np.array([[-1, 0, 0], [1, 0, 0], [0, 0, 0]]) * np.sqrt(1.5)
    np.testing.assert_allclose(found(x), expected, rtol=1e-6)


numbers = st.one_of(st.just(np.nan), st.floats(-1e6, 1e6, width=32))
tables = st.integers(1, 12).flatmap(
    lambda n: st.tuples(
        st.lists(st.tuples(numbers, numbers), min_size=n, max_size=n),
        st.lists(st.integers(0, 3), min_size=n, max_size=n),
    )
)


@pytest.fixture(scope="module")
def at_five():
    """Clients that get other rows for every example, so that the rounds are compiled once."""
    clients: list = [None] * 5
    carrier, participants = LocalCarrier(clients), Plan(5).round(0, everyone=True)

    def found(*rows: np.ndarray) -> Standardizer:
        clients[: len(rows)] = clients_of(rows)
        return standardizer(carrier, participants[: len(rows)], 2)

    return found


@settings(max_examples=60, deadline=None)
@given(drawn=tables)
def test_any_split_scales_as_the_pooled_rows(at_five, drawn):
    x, owners = np.array(drawn[0], np.float32), np.array(drawn[1])
    pooled, split = at_five(x), at_five(*(x[owners == i] for i in range(4)))
    scale = np.max(np.nan_to_num(np.abs(x)), axis=0, initial=1.0)
    np.testing.assert_allclose(split.mean, pooled.mean, atol=1e-12 * scale.max())
    # where all that differs in a column is rounding, its spread is that of rounding
    steady = (pooled.sd > 1e-9 * scale) & (split.sd > 1e-9 * scale)
    np.testing.assert_allclose(split.sd[steady], pooled.sd[steady], rtol=1e-6)


def test_rms_is_the_scale_of_a_central_fit():
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(100, 7)).astype(np.float32)
    found = rms_factor(*on(np.split(x, [3, 60])))
    assert found == pytest.approx(1 / np.sqrt(np.mean(np.square(x, dtype=np.float64))), rel=1e-12)
    assert np.mean(np.square(found * x)) == pytest.approx(1, rel=1e-6)
    with pytest.raises(InputError, match="values other than 0"):
        rms_factor(*on([np.zeros((2, 2), np.float32)]))


def test_mistakes():
    x = table()
    wrong = [x[:50], x[50:], np.full((1, 6), np.inf, np.float32)]
    with pytest.raises(InputError, match="infinite ones of client 2"):
        standardizer(*on(wrong))
    with pytest.raises(InputError, match="at least one row"):
        standardizer(*on([x[:0]]))


def test_an_engine_can_send_it_as_text():
    assert from_dict(to_dict(Moments(3))) == Moments(3)


def test_clients_change_their_own_files(tmp_path):
    x = table()
    store = ClientStore.write(tmp_path, [(part, None) for part in np.split(x, [20, 90])])
    carrier, everyone = LocalCarrier(store), Plan(3).round(0, everyone=True)
    store.change(standardizer(carrier, everyone, store.n_features))
    changed = np.concatenate([store.rows(i)[0] for i in range(3)])
    np.testing.assert_allclose(changed, central(x), rtol=1e-6, atol=1e-6)


@real
@pytest.mark.parametrize("name", ["heart_disease", "mice_protein"])
def test_real_tables_by_their_natural_clients(name):
    raw, groups = load_data(name, standardize=False).X, load_groups(name)
    clients = [raw[groups == group] for group in np.unique(groups)]
    assert_scales_as_pooled(raw, clients, load_data(name).X)


def test_a_missing_value_is_zero_afterwards():
    scaling = Standardizer(np.array([1.0]), np.array([2.0]))
    np.testing.assert_array_equal(scaling(np.array([[np.nan], [5.0]], np.float32)), [[0], [2]])
