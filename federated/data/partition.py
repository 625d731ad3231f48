"""How the rows of a data set are split over clients, by a seed or as they naturally fall.

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
MIN_ROWS = 10  # of a client under Dirichlet skews, as in the code of Li et al. 2022
MAX_TRIES = 1_000  # of drawing Dirichlet shares that leave every client enough rows


@dataclass(frozen=True, eq=False)
class Partition:
    """Which rows each client has. A row belongs to at most one client; no client is empty.

    Attributes:
      names: Of the clients, each another.
      rows: Of each client its row numbers, int64 (rows of the client,), ascending.
    """

    names: tuple[str, ...]
    rows: tuple[Integers, ...]

    def __post_init__(self) -> None:
        if not len(set(self.names)) == len(self.names) == len(self.rows) > 0:
            raise InputError(
                "A partition needs at least one client, each with a name of its own. Received "
                f"{len(set(self.names))} different names for the rows of {len(self.rows)} clients."
            )
        for name, rows in zip(self.names, self.rows, strict=True):
            numbers = rows.dtype == np.int64 and rows.ndim == 1 and rows.size
            if not numbers or rows[0] < 0 or (np.diff(rows) <= 0).any():
                raise InputError(
                    "The rows of a client must be one or more int64 row numbers, ascending. "
                    f"Received {rows!r:.60} for {name!r}. Pass them through np.unique."
                )
        taken, times = np.unique(np.concatenate(self.rows), return_counts=True)
        if times.max() > 1:
            raise InputError(
                "A row belongs to at most one client. Received row "
                f"{taken[times.argmax()]} {times.max()} times. Give it to one of them."
            )

    @property
    def n_clients(self) -> int:
        """Number of clients."""
        return len(self.names)

    @property
    def sizes(self) -> Integers:
        """(clients,) rows of each client."""
        return np.array([len(rows) for rows in self.rows], np.int64)

    def counts(self, y: ArrayLike) -> Integers:
        """The rows of each client in each class, (clients, classes).

        Args:
          y: (rows of the data set,) classes. Those that no client has are counted too.

        Raises:
          InputError: A client's row has no label, or labels are not labels.
        """
        classes, codes = encode_labels(y, "y")
        last = max(rows[-1] for rows in self.rows)
        if last >= len(codes):
            raise InputError(
                f"Received {len(codes)} labels, none for row {last}. Pass those of all rows."
            )
        return np.stack([np.bincount(codes[rows], minlength=len(classes)) for rows in self.rows])


def iid(n_rows: int, n_clients: int, seed: int) -> Partition:
    """Rows at random, as many for each client: sizes differ by at most one."""
    _check_enough(n_rows, "rows", n_clients=n_clients)
    return _dealt(_generator(seed).permutation(np.arange(n_rows) % n_clients), n_clients)


def dirichlet(
    y: ArrayLike, n_clients: int, alpha: float, seed: int, min_rows: int = MIN_ROWS
) -> Partition:
    """Label skew: each class is shared out over the clients by a Dirichlet vector of its own.

    So in Li et al. 2022; shares are drawn again until every client has `min_rows`. (Hsu et al.
    2019 draw the classes of each client instead, and clients are of one size.)

    Args:
      y: (rows,) classes.
      n_clients: Number of clients.
      alpha: Concentration, positive: 0.1 gives clients of a few classes, 100 all alike.
      seed: Of the shares and of the rows.
      min_rows: Fewest rows of a client.

    Raises:
      InputError: An argument is out of range, or `MAX_TRIES` draws did not do.
    """
    codes = encode_labels(y, "y")[1]
    _check_enough(len(codes), "rows", n_clients=n_clients, min_rows=min_rows)
    if not 0 < alpha < math.inf:
        raise InputError(f"`alpha` must be positive and finite. Received: alpha={alpha}.")
    rng, totals, owners = _generator(seed), np.bincount(codes), np.empty_like(codes)
    for _ in range(MAX_TRIES):
        shares = rng.dirichlet(np.full(n_clients, alpha), len(totals))
        ends = np.rint(np.cumsum(shares, axis=1) * totals[:, np.newaxis]).astype(np.int64)
        sizes = np.diff(ends, prepend=0)
        if sizes.sum(axis=0).min() >= min_rows:
            break
    else:
        raise InputError(
            f"With alpha={alpha} none of {MAX_TRIES} draws left each of {n_clients} clients "
            f"{min_rows} of {len(codes)} rows. Raise alpha or take fewer clients."
        )
    for code, of_client in enumerate(sizes):
        owners[codes == code] = rng.permutation(np.repeat(np.arange(n_clients), of_client))
    return _dealt(owners, n_clients)


def quantity_skew(
    n_rows: int, n_clients: int, alpha: float, seed: int, min_rows: int = MIN_ROWS
) -> Partition:
    """Rows at random, sizes by one Dirichlet vector: `dirichlet` as if there were one class."""
    return dirichlet(np.zeros(n_rows, np.int64), n_clients, alpha, seed, min_rows)


def shards(y: ArrayLike, n_clients: int, per_client: int, seed: int) -> Partition:
    """Rows sorted by class and cut into equal shards, of which each client gets so many.

    McMahan et al. 2017 deal two to each of 100 clients. Within a class rows are shuffled first,
    so that the order of a file, as by writer, adds no skew of its own.
    """
    codes = encode_labels(y, "y")[1]
    _check_enough(len(codes), "rows", n_clients=n_clients, per_client=per_client)
    rng, n_shards = _generator(seed), n_clients * per_client
    order = rng.permutation(len(codes))
    order = order[np.argsort(codes[order], kind="stable")]
    owner_of = rng.permutation(np.arange(n_shards) % n_clients)
    owners = np.empty_like(order)
    owners[order] = owner_of[np.arange(len(order)) * n_shards // len(order)]
    return _dealt(owners, n_clients)


def one_class(y: ArrayLike, n_clients: int, seed: int) -> Partition:
    """Each client has rows of a single class; clients come in the order of their classes.

    Each class has a client, and every further one goes to the class with the most rows a
    client, so that the largest is as small as can be. Clients of a class differ by at most a row.
    """
    classes, codes = encode_labels(y, "y")
    _check_enough(len(codes), "rows", n_clients=n_clients)
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


def by_group(
    groups: ArrayLike, n_clients: int | None = None, seed: int = 0, prefix: str = "group"
) -> Partition:
    """One client for each distinct group, such as a writer or a hospital, in sorted order.

    Args:
      groups: (rows,) the group of each row.
      n_clients: Groups to take at random, the rows of others being left out; None takes all.
      seed: Of the choice.
      prefix: What a group is, for the names: "writer" gives "writer 17".

    Raises:
      InputError: There are fewer groups than clients, or groups are not as labels must be.
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
    "natural": by_group,
}
_NEEDS = {
    "n_clients": "how many clients there shall be",
    "alpha": "a concentration, 0.1 for much skew, 100 for hardly any",
    "per_client": "how many shards a client gets, such as 2",
    "y": "labels; for data that have none take 'iid' or 'quantity'",
    "groups": "the natural group of each row; for data that have none take another partition",
}


def make_partition(
    kind: str,
    *,
    n_rows: int,
    y: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    n_clients: int | None = None,
    seed: int = 0,
    alpha: float | None = None,
    min_rows: int | None = None,
    per_client: int | None = None,
    prefix: str | None = None,
) -> Partition:
    """Splits rows over clients in one of the `KINDS`.

    Args:
      kind: "iid", "dirichlet", "shards", "quantity", "one_class" or "natural".
      n_rows: Rows of the data set.
      y: (n_rows,) classes, if the data have any.
      groups: (n_rows,) natural groups, if the data have any.
      n_clients: Number of clients; "natural" takes all groups without it.
      seed: Of all that is random.
      alpha: Of "dirichlet" and "quantity".
      min_rows: Of the same two.
      per_client: Shards of a client, of "shards".
      prefix: Of "natural".

    Raises:
      InputError: The kind is unknown, lacks what it needs, takes no such option or raises it.
    """
    if kind not in KINDS:
        raise unknown_name("partition", kind, KINDS)
    data = {"n_rows": n_rows, "y": y, "groups": groups, "n_clients": n_clients, "seed": seed}
    options = {"alpha": alpha, "min_rows": min_rows, "per_client": per_client, "prefix": prefix}
    given = {name: value for name, value in {**data, **options}.items() if value is not None}
    for name in given.keys() & {"y", "groups"}:
        if np.shape(given[name]) != (n_rows,):
            raise InputError(
                f"`{name}` needs a value for each of the {n_rows} rows. Received shape "
                f"{np.shape(given[name])}. Pass those of the same split."
            )
    return KINDS[kind](**_arguments(kind, given, options))


def _arguments(kind: str, given: Mapping[str, Any], options: Iterable[str]) -> dict[str, Any]:
    """What the kind takes of what is given: all that it needs, and every given option."""
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
    """Gives each row to the client of this number, or to none if it is negative."""
    order = np.argsort(owners, kind="stable")
    order.setflags(write=False)
    ends = np.searchsorted(owners[order], np.arange(n_clients + 1))
    rows = tuple(order[start:end] for start, end in itertools.pairwise(ends))
    return Partition(tuple(names) or tuple(f"client {i}" for i in range(n_clients)), rows)


def _check_enough(there: int, what: str, **numbers: Any) -> None:
    """Refuses numbers that are not whole and positive, or multiply to more than there is."""
    received = ", ".join(f"{name}={value!r}" for name, value in numbers.items())
    if not all(isinstance(n, (int, np.integer)) and n > 0 for n in numbers.values()):
        raise InputError(f"Whole numbers of at least 1 are needed. Received: {received}.")
    if math.prod(numbers.values()) > there:
        raise InputError(
            f"{' x '.join(numbers)} must be at most {there}, for there are so many {what}. "
            f"Received: {received}. Ask for fewer clients."
        )
