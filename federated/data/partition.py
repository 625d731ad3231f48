"""Partitions a data set across clients: seeded schemes or natural groups.

The skews of labels and quantities are those of Li et al. 2022 ("Federated Learning on Non-IID
Data Silos"), the shards those of McMahan et al. 2017. `make_partition` takes each by its name.
"""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tfcluster.errors import InputError, unknown_name
from tfcluster.metrics import encode_labels

Integers = NDArray[np.int64]

STREAM = 0x70617274  # "part": keeps these draws apart from others that a run makes of its seed
MIN_SAMPLES = 10  # of a client under Dirichlet skews, as in the code of Li et al. 2022
MAX_TRIES = 1_000  # of drawing Dirichlet shares that leave every client enough samples


@dataclass(frozen=True, eq=False)
class Partition:
    """Which samples each client has. A sample belongs to at most one client; no client is empty.

    Attributes:
      names: Unique names of the clients.
      indices: Each client's row numbers in the data set, `(n_samples,)` int64, ascending.
    """

    names: tuple[str, ...]
    indices: tuple[Integers, ...]

    def __post_init__(self) -> None:
        if not len(set(self.names)) == len(self.names) == len(self.indices) > 0:
            raise InputError(
                "A partition needs at least one client, each with a name of its own. Received "
                f"{len(set(self.names))} different names for {len(self.indices)} clients."
            )
        for name, own in zip(self.names, self.indices, strict=True):
            numbers = own.dtype == np.int64 and own.ndim == 1 and own.size
            if not numbers or own[0] < 0 or (np.diff(own) <= 0).any():
                raise InputError(
                    "The samples of a client must be one or more int64 row numbers, ascending. "
                    f"Received {own!r:.60} for {name!r}. Pass them through np.unique."
                )
        taken, times = np.unique(np.concatenate(self.indices), return_counts=True)
        if times.max() > 1:
            raise InputError(
                "A sample belongs to at most one client. Received row "
                f"{taken[times.argmax()]} {times.max()} times. Give it to one of them."
            )

    @property
    def n_clients(self) -> int:
        """Number of clients."""
        return len(self.names)

    @property
    def sizes(self) -> Integers:
        """Samples of each client, `(n_clients,)`."""
        return np.array([len(own) for own in self.indices], np.int64)

    def counts(self, y: ArrayLike) -> Integers:
        """Returns the samples of each client in each class, `(n_clients, n_classes)`.

        Args:
          y: `(n_samples,)` classes of the data set. Those that no client has are counted too.

        Raises:
          InputError: If a client's sample has no label, or labels are not labels.
        """
        classes, codes = encode_labels(y, "y")
        last = max(own[-1] for own in self.indices)
        if last >= len(codes):
            raise InputError(
                f"Received {len(codes)} labels, none for row {last}. Pass those of all samples."
            )
        return np.stack([np.bincount(codes[own], minlength=len(classes)) for own in self.indices])


def iid(n_samples: int, n_clients: int, seed: int) -> Partition:
    """Deals samples at random, equally many to each client: sizes differ by at most one."""
    _check_enough(n_samples, "samples", n_clients=n_clients)
    return _dealt(_generator(seed).permutation(np.arange(n_samples) % n_clients), n_clients)


def dirichlet(
    y: ArrayLike, n_clients: int, alpha: float, seed: int, min_samples: int = MIN_SAMPLES
) -> Partition:
    """Skews labels: each class is shared out over the clients by a Dirichlet vector of its own.

    As in Li et al. 2022; shares are drawn again until every client has `min_samples`. (Hsu et al.
    2019 draw the classes of each client instead, and clients are of one size.)

    Args:
      y: `(n_samples,)` classes.
      n_clients: Number of clients.
      alpha: Concentration, positive: 0.1 gives clients of a few classes, 100 all alike.
      seed: Seed of the shares and of the deal.
      min_samples: Fewest samples of a client.

    Raises:
      InputError: If an argument is out of range, or none of `MAX_TRIES` draws was good.
    """
    codes = encode_labels(y, "y")[1]
    _check_enough(len(codes), "samples", n_clients=n_clients, min_samples=min_samples)
    if not 0 < alpha < math.inf:
        raise InputError(f"`alpha` must be positive and finite. Received: alpha={alpha}.")
    rng, totals, owners = _generator(seed), np.bincount(codes), np.empty_like(codes)
    for _ in range(MAX_TRIES):
        shares = rng.dirichlet(np.full(n_clients, alpha), len(totals))
        ends = np.rint(np.cumsum(shares, axis=1) * totals[:, np.newaxis]).astype(np.int64)
        sizes = np.diff(ends, prepend=0)
        if sizes.sum(axis=0).min() >= min_samples:
            break
    else:
        raise InputError(
            f"With alpha={alpha} none of {MAX_TRIES} draws left each of {n_clients} clients "
            f"{min_samples} of {len(codes)} samples. Raise alpha or take fewer clients."
        )
    for code, of_client in enumerate(sizes):
        owners[codes == code] = rng.permutation(np.repeat(np.arange(n_clients), of_client))
    return _dealt(owners, n_clients)


def quantity_skew(
    n_samples: int, n_clients: int, alpha: float, seed: int, min_samples: int = MIN_SAMPLES
) -> Partition:
    """Deals samples at random, sizes by one Dirichlet vector: `dirichlet` with a single class."""
    return dirichlet(np.zeros(n_samples, np.int64), n_clients, alpha, seed, min_samples)


def shards(y: ArrayLike, n_clients: int, per_client: int, seed: int) -> Partition:
    """Sorts samples by class, cuts them into equal shards and deals `per_client` to each client.

    McMahan et al. 2017 deal two to each of 100 clients. Within a class samples are
    shuffled first, so that the order of a file, e.g. by writer, adds no skew of its own.
    """
    codes = encode_labels(y, "y")[1]
    _check_enough(len(codes), "samples", n_clients=n_clients, per_client=per_client)
    rng, n_shards = _generator(seed), n_clients * per_client
    order = rng.permutation(len(codes))
    order = order[np.argsort(codes[order], kind="stable")]
    owner_of = rng.permutation(np.arange(n_shards) % n_clients)
    owners = np.empty_like(order)
    owners[order] = owner_of[np.arange(len(order)) * n_shards // len(order)]
    return _dealt(owners, n_clients)


def one_class(y: ArrayLike, n_clients: int, seed: int) -> Partition:
    """Gives each client samples of a single class; clients come in the order of their classes.

    Each class has a client, and every further one goes to the class with the most samples
    per client, so that the largest is as small as possible. Clients of a class differ by at most a
    sample.
    """
    classes, codes = encode_labels(y, "y")
    _check_enough(len(codes), "samples", n_clients=n_clients)
    if n_clients < len(classes):
        raise InputError(
            f"One class a client needs at least {len(classes)} clients. Received: {n_clients}."
        )
    totals, clients_of = np.bincount(codes), np.ones(len(classes), np.int64)
    for _ in range(n_clients - len(classes)):
        clients_of[np.argmax(totals / clients_of)] += 1
    rng, owners = _generator(seed), np.cumsum(clients_of)[codes]
    for code, (total, n) in enumerate(zip(totals, clients_of, strict=True)):
        owners[codes == code] -= 1 + rng.permutation(np.arange(total) % n)
    return _dealt(owners, n_clients)


def class_share(y: ArrayLike, share: float, seed: int, n_clients: int | None = None) -> Partition:
    """Makes a client of each class, a given share of whose samples is of that class.

    The partition of SDA-FC (Yan et al. 2022, arXiv:2210.16524) and of those who compare with it.
    Client i gets as many samples as class i has; `round(share * size)` of them are of class i, and
    what remains of all classes is dealt at random. So 0 deals all samples at random, and 1 gives
    each client one class.

    Args:
      y: `(n_samples,)` classes.
      share: In [0, 1].
      seed: Seed of the deal.
      n_clients: None, or the number of classes.

    Raises:
      InputError: If an argument is out of range.
    """
    classes, codes = encode_labels(y, "y")
    if n_clients not in (None, len(classes)):
        raise InputError(
            f"Partition 'class_share' has a client for each of the {len(classes)} classes. "
            f"Received: {n_clients} clients. Leave the number out."
        )
    if not 0 <= share <= 1:
        raise InputError(f"`share` must be in [0, 1]. Received: {share!r}.")
    rng, totals = _generator(seed), np.bincount(codes)
    own = np.rint(share * totals).astype(np.int64)
    owners = np.full_like(codes, -1)
    for code, n in enumerate(own):
        owners[rng.permutation(np.flatnonzero(codes == code))[:n]] = code
    owners[owners < 0] = rng.permutation(np.repeat(np.arange(len(classes)), totals - own))
    return _dealt(owners, len(classes))


def by_group(
    groups: ArrayLike, n_clients: int | None = None, seed: int = 0, prefix: str = "group"
) -> Partition:
    """Makes a client of each distinct group, e.g. a writer or a hospital, in sorted order.

    Args:
      groups: `(n_samples,)` the group of each sample.
      n_clients: Groups to take at random, leaving out the samples of others; None takes all.
      seed: Seed of the choice.
      prefix: What a group is called, for the names: "writer" gives "writer 17".

    Raises:
      InputError: If there are fewer groups than clients, or groups are not as labels must be.
    """
    values, codes = encode_labels(groups, "groups")
    n_taken = len(values) if n_clients is None else n_clients
    _check_enough(len(values), "groups", n_clients=n_taken)
    taken = np.sort(_generator(seed).choice(len(values), n_taken, replace=False))
    owner_of = np.full(len(values), -1)
    owner_of[taken] = np.arange(n_taken)
    return _dealt(owner_of[codes], n_taken, [f"{prefix} {value}" for value in values[taken]])


KINDS: Mapping[str, Callable[..., Partition]] = {
    "iid": iid,
    "dirichlet": dirichlet,
    "shards": shards,
    "quantity": quantity_skew,
    "one_class": one_class,
    "class_share": class_share,
    "natural": by_group,
}
_NEEDS = {
    "n_clients": "the number of clients",
    "alpha": "a concentration, e.g. 0.1 for much skew, 100 for hardly any",
    "per_client": "the shards per client, e.g. 2",
    "share": "the share of a client's samples that are of its own class, in [0, 1]",
    "y": "labels; for data without labels use 'iid' or 'quantity'",
    "groups": "the natural group of each sample; for data without groups use another partition",
}


def make_partition(
    kind: str,
    *,
    n_samples: int,
    y: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    n_clients: int | None = None,
    seed: int = 0,
    alpha: float | None = None,
    min_samples: int | None = None,
    per_client: int | None = None,
    share: float | None = None,
    prefix: str | None = None,
) -> Partition:
    """Partitions samples across clients in one of the `KINDS`.

    Args:
      kind: "iid", "dirichlet", "shards", "quantity", "one_class", "class_share" or
        "natural".
      n_samples: Samples of the data set.
      y: `(n_samples,)` classes, if the data have any.
      groups: `(n_samples,)` natural groups, if the data have any.
      n_clients: Number of clients; "natural" takes all groups without it.
      seed: Random seed.
      alpha: Concentration of "dirichlet" and "quantity".
      min_samples: Fewest samples of a client of the same two.
      per_client: Shards per client of "shards".
      share: Share of a client's own class of "class_share".
      prefix: What a group of "natural" is called.

    Raises:
      InputError: If the kind is unknown, lacks what it needs, takes no such option or raises it.
    """
    if kind not in KINDS:
        raise unknown_name("partition", kind, KINDS)
    data = {"n_samples": n_samples, "y": y, "groups": groups, "n_clients": n_clients, "seed": seed}
    options = {
        "alpha": alpha,
        "min_samples": min_samples,
        "per_client": per_client,
        "share": share,
        "prefix": prefix,
    }
    given = {name: value for name, value in {**data, **options}.items() if value is not None}
    for name in given.keys() & {"y", "groups"}:
        if np.shape(given[name]) != (n_samples,):
            raise InputError(
                f"`{name}` needs a value for each of the {n_samples} samples. Received shape "
                f"{np.shape(given[name])}. Pass those of the same split."
            )
    return KINDS[kind](**_arguments(kind, given, options))


def _arguments(kind: str, given: Mapping[str, Any], options: Iterable[str]) -> dict[str, Any]:
    """Returns the arguments of the kind: all that it needs, and every given option."""
    takes = inspect.signature(KINDS[kind]).parameters
    for name, parameter in takes.items():
        if parameter.default is parameter.empty and name not in given:
            raise InputError(f"Partition {kind!r} needs `{name}`: {_NEEDS[name]}. Received none.")
    for name in options:
        if name in given and name not in takes:
            raise InputError(f"Partition {kind!r} takes no `{name}`. Received: {given[name]!r}.")
    return {name: given[name] for name in takes if name in given}


def _generator(seed: int) -> np.random.Generator:
    if not isinstance(seed, (int, np.integer)) or seed < 0:
        raise InputError(f"`seed` must be a whole number from 0. Received: {seed!r}.")
    return np.random.default_rng([seed, STREAM])


def _dealt(owners: Integers, n_clients: int, names: Iterable[str] = ()) -> Partition:
    """Gives each sample to the client of this number, or to none if it is negative."""
    order = np.argsort(owners, kind="stable")
    order.setflags(write=False)
    ends = np.searchsorted(owners[order], np.arange(n_clients + 1))
    indices = tuple(order[start:end] for start, end in itertools.pairwise(ends))
    return Partition(tuple(names) or tuple(f"client {i}" for i in range(n_clients)), indices)


def _check_enough(there: int, what: str, **numbers: Any) -> None:
    """Raises `InputError` unless numbers are whole and positive and their product small enough."""
    received = ", ".join(f"{name}={value!r}" for name, value in numbers.items())
    if not all(isinstance(n, (int, np.integer)) and n > 0 for n in numbers.values()):
        raise InputError(f"Whole numbers of at least 1 are needed. Received: {received}.")
    if math.prod(numbers.values()) > there:
        raise InputError(
            f"{' x '.join(numbers)} must be at most {there}, the number of {what}. "
            f"Received: {received}. Ask for fewer clients."
        )
