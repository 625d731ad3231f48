"""Every sample at one client at most, sizes and classes as promised, the same for the same seed."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federated.data.partition import (
    KINDS,
    MIN_SAMPLES,
    Partition,
    by_group,
    class_share,
    dirichlet,
    iid,
    make_partition,
    one_class,
    quantity_skew,
    shards,
)
from tfcluster.data.loading import load_data, load_groups
from tfcluster.errors import InputError

labelings = st.lists(st.integers(-2, 4), min_size=1, max_size=60)
seeds = st.integers(0, 2**40)
TEN_CLASSES = np.random.default_rng(0).permutation(np.arange(5_000) % 10)


def same(first: Partition, second: Partition) -> bool:
    return first.names == second.names and all(map(np.array_equal, first.indices, second.indices))


def check(partition: Partition, n_samples: int, n_clients: int) -> None:
    """Asserts that every sample belongs to exactly one of so many clients."""
    assert partition.n_clients == len(partition.names) == len(partition.indices) == n_clients
    np.testing.assert_array_equal(np.sort(np.concatenate(partition.indices)), np.arange(n_samples))
    assert partition.sizes.sum() == n_samples and partition.sizes.min() > 0
    assert all((np.diff(own) > 0).all() and own.dtype == np.int64 for own in partition.indices)


def partitions(y: Any, n: int, seed: int) -> dict[str, Partition]:
    """Returns one of each kind that has a number of clients."""
    return {
        "iid": iid(len(y), n, seed),
        "dirichlet": dirichlet(y, n, 5.0, seed, min_samples=1),
        "shards": shards(y, n, 2, seed),
        "quantity": quantity_skew(len(y), n, 5.0, seed, min_samples=1),
        "one_class": one_class(y, n, seed),
    }


@given(labelings, seeds, st.data())
@settings(deadline=None, max_examples=50)
def test_every_sample_has_one_client_and_the_seed_says_which(
    y: list[int], seed: int, data: st.DataObject
) -> None:
    y = y * 32  # enough samples for any number of clients
    n = data.draw(st.integers(len(set(y)), 8))
    made = partitions(y, n, seed)
    for kind, partition in made.items():
        check(partition, len(y), n)
        assert same(partition, partitions(y, n, seed)[kind]), kind
        assert partition.names == tuple(f"client {i}" for i in range(n))


@pytest.mark.parametrize("kind", ["iid", "dirichlet", "shards", "quantity", "one_class"])
def test_another_seed_is_another_partition(kind: str) -> None:
    made = [partitions(TEN_CLASSES, 20, seed)[kind] for seed in (0, 1)]
    assert not same(*made)


# Sizes.


@given(st.integers(1, 50), seeds, st.data())
def test_iid_sizes_differ_by_at_most_one(n_samples: int, seed: int, data: st.DataObject) -> None:
    n = data.draw(st.integers(1, n_samples))
    partition = iid(n_samples, n, seed)
    check(partition, n_samples, n)
    assert np.ptp(partition.sizes) <= 1


@given(labelings, seeds, st.data())
def test_shards_have_one_size_and_few_classes(y: list[int], seed: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(1, min(4, len(y))))
    n = data.draw(st.integers(1, len(y) // k))
    partition = shards(y, n, k, seed)
    check(partition, len(y), n)
    size = len(y) // (n * k)
    assert partition.sizes.min() >= k * size and partition.sizes.max() <= k * (size + 1)
    # Each change of class in the sorted samples cuts one shard in two.
    assert np.count_nonzero(partition.counts(y)) <= n * k + len(set(y)) - 1


def test_a_client_of_two_shards_has_two_classes_at_most() -> None:
    partition = shards(np.repeat([3, 1, 2, 0], 50), 10, 2, seed=0)
    assert (partition.sizes == 20).all()
    assert set(np.count_nonzero(partition.counts(np.repeat([3, 1, 2, 0], 50)), axis=1)) == {1, 2}


@given(labelings, seeds, st.data())
def test_one_class_shares_classes_out_evenly(y: list[int], seed: int, data: st.DataObject) -> None:
    classes, totals = np.unique(y, return_counts=True)
    n = data.draw(st.integers(len(classes), len(y)))
    partition = one_class(y, n, seed)
    check(partition, len(y), n)
    counts = partition.counts(y)
    assert (np.count_nonzero(counts, axis=1) == 1).all()
    for k in range(len(classes)):
        assert np.ptp(counts[counts[:, k] > 0, k]) <= 1
    # Were the largest client any smaller, the classes would need more clients.
    largest = partition.sizes.max()
    assert largest == 1 or np.ceil(totals / (largest - 1)).sum() > n


@given(labelings, st.floats(0, 1), seeds)
def test_clients_have_the_sizes_of_classes_and_a_share_of_one(
    y: list[int], share: float, seed: int
) -> None:
    totals = np.unique(y, return_counts=True)[1]
    partition = class_share(y, share, seed)
    check(partition, len(y), len(totals))
    np.testing.assert_array_equal(partition.sizes, totals)
    assert (np.diag(partition.counts(y)) >= np.rint(share * totals)).all()
    assert same(partition, class_share(y, share, seed))


def test_class_share_between_its_ends() -> None:
    y = TEN_CLASSES
    assert same(class_share(y, 1.0, 0), one_class(y, 10, 0))
    for share in (0.0, 0.5):
        counts = class_share(y, share, 0).counts(y)
        own, others = np.diag(counts).mean(), counts[~np.eye(10, dtype=bool)]
        # what is dealt at random is a tenth of each client's own class and of every other
        assert own == pytest.approx(500 * (share + (1 - share) / 10), rel=0.05)
        assert others.mean() == pytest.approx(500 * (1 - share) / 10, rel=0.05)
        assert others.std() < 3 * np.sqrt(others.mean())


@given(labelings)
def test_natural_clients_are_the_groups(groups: list[int]) -> None:
    partition = by_group(groups, prefix="writer")
    check(partition, len(groups), len(set(groups)))
    assert partition.names == tuple(f"writer {g}" for g in sorted(set(groups)))
    for group, own in zip(sorted(set(groups)), partition.indices, strict=True):
        assert set(np.array(groups)[own]) == {group}
        assert len(own) == groups.count(group)


@given(labelings, seeds, st.data())
def test_some_groups_leave_the_samples_of_others_out(
    groups: list[int], seed: int, data: st.DataObject
) -> None:
    every = by_group(groups)
    n = data.draw(st.integers(1, every.n_clients))
    some = by_group(groups, n, seed)
    assert some.n_clients == n and same(some, by_group(groups, n, seed))
    for name, own in zip(some.names, some.indices, strict=True):
        np.testing.assert_array_equal(own, every.indices[every.names.index(name)])
    assert list(some.names) == sorted(some.names, key=every.names.index)


def test_the_seed_chooses_the_groups() -> None:
    chosen = {by_group(np.arange(100), 5, seed).names for seed in range(5)}
    assert len(chosen) == 5


# What skew does.


def largest_shares(alpha: float, seed: int = 0) -> float:
    """Returns the mean over clients of the share of the class they have most of."""
    counts = dirichlet(TEN_CLASSES, 10, alpha, seed, min_samples=1).counts(TEN_CLASSES)
    return float((counts.max(axis=1) / counts.sum(axis=1)).mean())


def test_a_small_alpha_concentrates_and_a_large_one_does_not() -> None:
    shares = [np.mean([largest_shares(a, seed) for seed in range(5)]) for a in (0.1, 1, 10, 1e4)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 0.5
    assert shares[-1] < 0.12  # 0.1 if all were alike
    sizes = quantity_skew(5_000, 10, 1e6, seed=0).sizes
    assert np.ptp(sizes) < 10


def test_dirichlet_shares_have_the_mean_and_variance_of_the_distribution() -> None:
    # Of one class over K clients: mean 1/K, variance (K-1) / (K^2 (K alpha + 1)).
    K, alpha, n = 4, 0.5, 10_000
    shares = np.array(
        [dirichlet(np.zeros(n), K, alpha, s, min_samples=1).sizes / n for s in range(300)]
    )
    assert np.allclose(shares.mean(axis=0), 1 / K, atol=0.05)
    assert shares.var() == pytest.approx((K - 1) / (K**2 * (K * alpha + 1)), rel=0.1)


@given(st.floats(0.05, 100), st.integers(1, 20), seeds)
@settings(deadline=None, max_examples=30)
def test_every_client_has_the_fewest_samples(alpha: float, min_samples: int, seed: int) -> None:
    for partition in (
        dirichlet(TEN_CLASSES, 4, alpha, seed, min_samples),
        quantity_skew(len(TEN_CLASSES), 4, max(alpha, 0.5), seed, min_samples),
    ):
        check(partition, len(TEN_CLASSES), 4)
        assert partition.sizes.min() >= min_samples


@pytest.mark.parametrize("alpha", [1e-300, 1e-3, 1e300])
def test_any_positive_alpha_can_be_drawn(alpha: float) -> None:
    check(dirichlet(TEN_CLASSES, 2, alpha, 0, min_samples=1), len(TEN_CLASSES), 2)


def test_draws_that_cannot_do_end() -> None:
    with pytest.raises(InputError, match=r"alpha=0.001 none of 1000 draws .* Raise alpha"):
        quantity_skew(1_000, 20, 0.001, seed=0, min_samples=40)


# By name.


ARGUMENTS: dict[str, dict[str, Any]] = {
    "iid": {},
    "dirichlet": {"alpha": 0.5},
    "shards": {"per_client": 2},
    "quantity": {"alpha": 0.5},
    "one_class": {},
    "class_share": {"share": 0.5},
    "natural": {},
}


def make(kind: str, **changes: Any) -> Partition:
    usual = {
        "n_samples": 5_000,
        "y": TEN_CLASSES,
        "groups": TEN_CLASSES,
        "n_clients": 10,
        "seed": 3,
    }
    return make_partition(kind, **{**usual, **ARGUMENTS[kind], **changes})


def test_by_name_is_by_function() -> None:
    y = TEN_CLASSES
    assert ARGUMENTS.keys() == KINDS.keys()
    assert same(make("iid"), iid(5_000, 10, 3))
    assert same(make("dirichlet"), dirichlet(y, 10, 0.5, 3, MIN_SAMPLES))
    assert same(make("dirichlet", min_samples=50), dirichlet(y, 10, 0.5, 3, 50))
    assert same(make("shards"), shards(y, 10, 2, 3))
    assert same(make("quantity"), quantity_skew(5_000, 10, 0.5, 3))
    assert same(make("one_class"), one_class(y, 10, 3))
    assert same(make("class_share"), class_share(y, 0.5, 3))
    assert same(make("natural", n_clients=None, prefix="mouse"), by_group(y, prefix="mouse"))
    assert same(make("natural", n_clients=4), by_group(y, 4, 3))


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("iid", {"alpha": 0.5}, "'iid' takes no `alpha`. Received: 0.5"),
        ("natural", {"per_client": 2}, "'natural' takes no `per_client`"),
        ("dirichlet", {"y": None}, "'dirichlet' needs `y`: labels; .* use 'iid'"),
        ("shards", {"per_client": None}, "'shards' needs `per_client`"),
        ("quantity", {"alpha": None}, "'quantity' needs `alpha`"),
        ("natural", {"groups": None}, "'natural' needs `groups`"),
        ("iid", {"n_clients": None}, "'iid' needs `n_clients`"),
        ("iid", {"y": np.arange(3)}, r"`y` needs a value for each of the 5000 samples.*\(3,\)"),
        ("iid", {"n_clients": 5_001}, "n_clients must be at most 5000, the number of samples"),
        ("iid", {"n_clients": 0}, "at least 1 are needed. Received: n_clients=0"),
        ("iid", {"n_clients": 2.5}, "Received: n_clients=2.5"),
        ("iid", {"seed": -1}, "`seed` must be a whole number from 0. Received: -1"),
        ("shards", {"per_client": 501}, "n_clients x per_client must be at most 5000"),
        ("dirichlet", {"min_samples": 501}, "n_clients x min_samples must be at most 5000"),
        ("dirichlet", {"min_samples": 0}, "at least 1 .* min_samples=0"),
        ("dirichlet", {"alpha": 0.0}, "`alpha` must be positive and finite. Received: alpha=0"),
        ("quantity", {"alpha": float("nan")}, "alpha=nan"),
        ("one_class", {"n_clients": 9}, "at least 10 clients. Received: 9"),
        ("class_share", {"n_clients": 9}, "each of the 10 classes. Received: 9 clients"),
        ("class_share", {"share": 1.01}, r"`share` must be in .0, 1.. Received: 1.01"),
        ("class_share", {"share": float("nan")}, "Received: nan"),
        ("class_share", {"share": None}, "'class_share' needs `share`"),
        ("natural", {"n_clients": 11}, "n_clients must be at most 10, the number of groups"),
    ],
)
def test_mistakes(kind: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make(kind, **changes)


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(
        InputError, match=r"Unknown partition 'dirichlett'. Did you mean 'dirichlet'"
    ):
        make_partition("dirichlett", n_samples=3)


# The partition itself.


def indices(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


@pytest.mark.parametrize(
    ("names", "parts", "message"),
    [
        ((), (), "at least one client"),
        (("a", "a"), (indices(0), indices(1)), "1 different names for 2 clients"),
        (("a",), (indices(0), indices(1)), "1 different names for 2 clients"),
        (("a", "b"), (indices(0), indices()), "one or more int64.* for 'b'"),
        (("a",), (np.array([0.0]),), "int64 row numbers"),
        (("a",), (indices(1, 0),), "ascending"),
        (("a",), (indices(1, 1),), "ascending"),
        (("a",), (indices(-1, 0),), "ascending"),
        (("a", "b"), (indices(0, 2), indices(2, 3)), "at most one client. Received row 2 2 times"),
    ],
)
def test_a_partition_is_checked(
    names: tuple[str, ...], parts: tuple[np.ndarray, ...], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        Partition(names, parts)


def test_counts_by_hand() -> None:
    partition = Partition(("a", "b"), (indices(0, 2), indices(4)))
    y = ["cat", "dog", "dog", "owl", "dog"]
    assert partition.counts(y).tolist() == [[1, 1, 0], [0, 1, 0]]
    assert partition.sizes.tolist() == [2, 1]
    with pytest.raises(InputError, match="Received 4 labels, none for row 4"):
        partition.counts(y[:4])


def test_indices_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        iid(4, 2, 0).indices[0][0] = 3


def test_the_writers_of_mnist() -> None:
    try:
        groups, y = load_groups("mnist", "train"), load_data("mnist", "train").y
    except InputError as error:
        pytest.skip(str(error))
    partition = make_partition("natural", n_samples=60_000, groups=groups, prefix="writer")
    check(partition, 60_000, 539)
    assert partition.counts(y).sum(axis=0).tolist() == np.bincount(y).tolist()
    some = make_partition("natural", n_samples=60_000, groups=groups, n_clients=20)
    assert some.n_clients == 20 and some.sizes.sum() < 60_000


def test_importing_loads_no_framework() -> None:
    code = (
        "import sys, federated.data.partition\n"
        "print({'tensorflow', 'sklearn', 'flwr'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
