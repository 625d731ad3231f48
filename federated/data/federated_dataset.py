"""From a data set's name and a partition, a folder of files, or arrays, to clients."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from federated.data.client_files import load_folder
from federated.data.partition import make_partition
from tfcluster.data import DATASETS, Picture, load_data, load_groups
from tfcluster.data.catalog import GROUPS, needs_scaling
from tfcluster.data.dataset import Dataset
from tfcluster.data.table_options import TableOptions, TableReport
from tfcluster.errors import InputError
from tfcluster.metrics import encode_labels
from tfcluster.scaling import Standardizer

if TYPE_CHECKING:  # their modules import TensorFlow and scikit-learn, which reading does without
    from federated.data.client_store import Samples
    from tfcluster.validation import Unfolded

_GROUP_WORDS = {"mnist": "writer", "heart_disease": "hospital", "mice_protein": "mouse"}
_CLIENTS = 5  # where nothing else is said


@dataclasses.dataclass(frozen=True)
class PartitionConfig:
    """How samples are partitioned across clients.

    Attributes:
      partition: "iid", "dirichlet", "shards", "quantity", "one_class", "class_share" or "natural".
      n_clients: Number of clients; None for five, or for all natural groups or classes.
      alpha: Concentration of "dirichlet" and "quantity".
      per_client: Shards per client of "shards".
      share: Share of each client's samples that are of its own class, of "class_share".
    """

    partition: str = "iid"
    n_clients: int | None = None
    alpha: float | None = None
    per_client: int | None = None
    share: float | None = None

    def make(self, n_samples: int, y: Any, groups: Any, seed: int, prefix: str | None) -> Any:
        """Returns the `Partition`; see `make_partition`."""
        is_natural = self.partition == "natural"
        usual = None if self.partition in ("natural", "class_share") else _CLIENTS
        return make_partition(
            self.partition,
            n_samples=n_samples,
            y=y,
            groups=groups,
            n_clients=usual if self.n_clients is None else self.n_clients,
            seed=seed,
            alpha=self.alpha,
            per_client=self.per_client,
            share=self.share,
            prefix=prefix if is_natural else None,
        )


_USUAL_PARTITION = PartitionConfig()


@dataclasses.dataclass(frozen=True)
class FederatedDataset:
    """Clients and their samples.

    Attributes:
      names: Names of the clients.
      clients: Samples of each, and their classes, numbered alike at all clients, or None.
      classes: What the classes are called; empty if they are not known.
      has_units: Whether features have units or missing values, so that they should be standardized.
      picture: How a sample is drawn, if it can be.
      feature_names: Names of the features; empty if they are not known.
      has_columns: Whether the names are columns of data frames, which new samples must match.
      units: What undoes the scaling of a named data set; see `tfcluster.data.Dataset`.
      order: Where a matrix was partitioned, the row of each sample in it, in client order.
      column_names: Names of a file's columns, by which new samples are matched; empty without.
      tables: What tables were taken as: one, or one per client.
      id_column: What the ids are called; empty without ids.
      ids: Ids of the samples of each client, each `(n_samples,)`; empty without.
    """

    names: tuple[str, ...]
    clients: list[Samples]
    classes: tuple[str, ...] = ()
    has_units: bool = False
    picture: Picture | None = None
    feature_names: tuple[str, ...] = ()
    has_columns: bool = False
    units: Standardizer | None = None
    order: np.ndarray | None = None
    column_names: tuple[str, ...] = ()
    tables: tuple[TableReport, ...] = ()
    id_column: str = ""
    ids: tuple[np.ndarray, ...] = ()

    @property
    def n_features(self) -> int:
        """Features of a sample."""
        return int(self.clients[0][0].shape[1])

    @property
    def sizes(self) -> list[int]:
        """Samples of each client."""
        return [len(x) for x, _ in self.clients]

    def counts(self) -> np.ndarray:
        """Returns `(n_clients, n_classes)` samples; one column without classes."""
        if not self.classes:
            return np.array(self.sizes)[:, np.newaxis]
        k = len(self.classes)
        return np.stack([np.bincount(y, minlength=k) for _, y in self.clients if y is not None])

    def pooled(
        self, clients: Sequence[Samples] | None = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Returns all samples and classes in one place, which only a simulation can look at."""
        parts = self.clients if clients is None else clients
        y = np.concatenate([y for _, y in parts if y is not None]) if self.classes else None
        return np.concatenate([x for x, _ in parts]), y

    def check_finite(self, *, missing_allowed: bool) -> None:
        """Raises `InputError` if a value is infinite, or missing where nothing will fill it."""
        for name, (x, _) in zip(self.names, self.clients, strict=True):
            # without standardization, networks get the values in float32
            wrong = np.isinf(x) if missing_allowed else ~(np.abs(x) <= np.finfo(np.float32).max)
            if wrong.any():
                raise InputError(
                    f"Samples must be finite numbers in float32. Received {wrong.sum()} other "
                    f"values of client {name}. Correct them, or standardize (`standardize=True`, "
                    "--standardize), which replaces missing values by the feature's mean."
                )


def load_federated_dataset(
    dataset: str | os.PathLike[str],
    config: PartitionConfig = _USUAL_PARTITION,
    seed: int = 0,
    table: TableOptions | None = None,
) -> FederatedDataset:
    """Loads clients of a data set, or of a folder with a file for each.

    Args:
      dataset: A name or a file, whose samples are partitioned; or a folder, whose files are the
        clients (a folder that is called like a data set, as `./digits`).
      config: How samples are partitioned.
      seed: Seed of the partition.
      table: How tables are written, and what their columns are.

    Raises:
      InputError: If the data cannot be loaded or partitioned like this.
    """
    dataset = os.fspath(dataset)
    if dataset not in DATASETS and Path(dataset).is_dir():
        return _from_folder(dataset, config, table)
    has_units = dataset in DATASETS and needs_scaling(dataset)
    data = load_data(dataset, standardize=not has_units, table=table)
    is_natural = config.partition == "natural"
    groups = load_groups(dataset) if is_natural and dataset in GROUPS else None
    word = _GROUP_WORDS.get(dataset)
    if data.table is not None and data.table.groups is not None:
        if not is_natural:
            raise InputError(
                "--group-column names the clients of --partition natural. Received: --partition "
                f"{config.partition}. Say --partition natural, or leave the column out (--drop)."
            )
        groups, word = data.table.groups, data.table.group_column
    made = partition_matrix(data.X, data.y, config, seed, groups=groups, prefix=word)
    ids = data.table.ids if data.table else None
    parts = () if ids is None else _split_by_client(ids[made.order], made.sizes)
    return dataclasses.replace(
        made,
        has_units=has_units or data.has_units,
        picture=data.picture,
        units=data.units,
        **_describe_columns([data], parts),
    )


def _split_by_client(values: np.ndarray, sizes: Sequence[int]) -> list[np.ndarray]:
    return np.split(values, np.cumsum(sizes)[:-1])


def _describe_columns(datasets: Sequence[Dataset], ids: Sequence[np.ndarray]) -> dict[str, Any]:
    """Returns what a `FederatedDataset` says about columns and ids."""
    first = datasets[0]
    tables = tuple(data.table for data in datasets if data.table is not None)
    id_column = next((table.id_column for table in tables if table.id_column is not None), None)
    return {
        "feature_names": first.feature_names,
        "column_names": first.feature_names if first.has_columns else (),
        "tables": tables,
        "id_column": id_column or "",
        "ids": tuple(ids),
    }


def partition_matrix(
    X: np.ndarray,
    y: ArrayLike | None,
    config: PartitionConfig,
    seed: int,
    *,
    groups: ArrayLike | None = None,
    prefix: str | None = None,
) -> FederatedDataset:
    """Partitions one matrix across clients.

    Args:
      X: `(n_samples, n_features)`.
      y: `(n_samples,)` classes, or None.
      config: How samples are partitioned.
      seed: Seed of the partition.
      groups: `(n_samples,)` natural groups, or None.
      prefix: What a natural group is called.

    Raises:
      InputError: If the samples cannot be partitioned like this.
    """
    part = config.make(len(X), y, groups, seed, prefix)
    classes, codes = encode_labels(y) if y is not None else ((), None)
    clients: list[Samples] = [
        (X[own], None if codes is None else codes[own]) for own in part.indices
    ]
    order = np.concatenate(part.indices)
    return FederatedDataset(part.names, clients, _words(classes), order=order)


def _from_folder(
    folder: str, config: PartitionConfig, table: TableOptions | None
) -> FederatedDataset:
    if config != _USUAL_PARTITION:
        raise InputError(
            f"The files of {folder} are the clients, so it takes no --partition, --clients or "
            f"their options. Received: {config}."
        )
    if table is not None and table.group_column is not None:
        raise InputError(
            f"The files of {folder} are the clients, so it takes no --group-column. Leave the "
            f"column out instead: --drop {table.group_column}."
        )
    names, datasets = load_folder(folder, table)
    made = _of_clients(names, [data.X for data in datasets], [data.y for data in datasets])
    first = datasets[0]
    return dataclasses.replace(
        made,
        has_units=any(data.has_units for data in datasets),
        picture=first.picture,
        units=first.units,
        **_describe_columns(datasets, _ids_of_clients(datasets)),
    )


def _ids_of_clients(datasets: Sequence[Dataset]) -> list[np.ndarray]:
    """Returns the ids of each client; empty texts where a file has none, [] without any."""
    found = [data.table.ids if data.table else None for data in datasets]
    if all(ids is None for ids in found):
        return []
    return [
        np.full(len(data.X), "") if ids is None else ids
        for data, ids in zip(datasets, found, strict=True)
    ]


def _of_clients(
    names: Sequence[str], matrices: Sequence[np.ndarray], labels: Sequence[Any]
) -> FederatedDataset:
    """Numbers classes over all clients together."""
    if labels[0] is None:
        return FederatedDataset(tuple(names), [(x, None) for x in matrices])
    classes, codes = encode_labels(np.concatenate([np.asarray(y) for y in labels]), "y")
    ends = np.cumsum([len(x) for x in matrices])[:-1]
    clients: list[Samples] = list(zip(matrices, np.split(codes, ends), strict=True))
    return FederatedDataset(tuple(names), clients, _words(classes))


def build_dataset(
    X: Mapping[str, Any] | Sequence[Any],
    y: Mapping[str, Any] | Sequence[Any] | None = None,
    names: Sequence[str] | None = None,
) -> FederatedDataset:
    """Takes clients from a dictionary, or a list, of matrices or data frames.

    Args:
      X: Client name to `(n_samples, n_features)`, or a list of those. Columns of data frames are
        matched by name, in any order.
      y: Classes of each client in the same structure, for scores only.
      names: Names of the clients of a list; "client 0", ... if left out.

    Raises:
      InputError: If clients are no matrices of the same features, `y` has another structure, or
        names are not unique.
    """
    if isinstance(X, Mapping):
        if names is not None:
            raise InputError("`names` are for a list of clients; a dictionary has its own.")
        names, matrices = list(map(str, X)), list(X.values())
        labels = _labels_by_name(X, y)
    else:
        matrices = list(X)
        numbered = [f"client {i}" for i in range(len(matrices))]
        names = numbered if names is None else list(map(str, names))
        labels = [None] * len(matrices) if y is None else list(y)
    _check_structure(names, matrices, labels)
    matrices = [_in_order(matrix, _feature_names(matrices[0])) for matrix in matrices]
    features = [_feature_names(matrix) for matrix in matrices]
    _check_same_features(names, features)
    unfolded = [_unfold(name, matrix) for name, matrix in zip(names, matrices, strict=True)]
    _check_images(names, [each.image_shape for each in unfolded])
    arrays = [_matrix(name, each.samples) for name, each in zip(names, unfolded, strict=True)]
    _check_widths(names, arrays)
    _check_labels(names, arrays, labels)
    made = _of_clients(names, arrays, labels)
    has_units = any(np.isnan(x).any() for x in arrays)
    shape = unfolded[0].image_shape
    return dataclasses.replace(
        made,
        has_units=has_units,
        picture=None if shape is None else Picture("image", shape),
        feature_names=features[0],
        has_columns=bool(features[0]),
    )


def _labels_by_name(X: Mapping[str, Any], y: Any) -> list[Any]:
    if y is None:
        return [None] * len(X)
    if not isinstance(y, Mapping) or set(map(str, y)) != set(map(str, X)):
        received = sorted(map(str, y)) if isinstance(y, Mapping) else type(y).__name__
        raise InputError(
            f"`y` must be a dictionary with the clients of X, {sorted(map(str, X))}. "
            f"Received: {received}."
        )
    by_name = {str(name): own for name, own in y.items()}
    return [by_name[str(name)] for name in X]


def _check_structure(names: Sequence[str], matrices: Sequence[Any], labels: Sequence[Any]) -> None:
    if not matrices:
        raise InputError("At least one client is needed. Received none.")
    if not len(set(names)) == len(names) == len(matrices):
        raise InputError(
            f"Every client needs a name of its own. Received {len(matrices)} clients and the names "
            f"{list(names)}."
        )
    if len(labels) != len(matrices):
        raise InputError(
            f"`y` needs the classes of all {len(matrices)} clients. Received: {len(labels)}."
        )


def _check_labels(
    names: Sequence[str], arrays: Sequence[np.ndarray], labels: Sequence[Any]
) -> None:
    without = [name for name, own in zip(names, labels, strict=True) if own is None]
    if without and len(without) < len(names):
        raise InputError(
            "`y` needs the classes of all clients, or of none. Received none of client "
            f"{', '.join(without)}."
        )
    for name, x, own in zip(names, arrays, labels, strict=True):
        if own is not None and np.shape(own) != (len(x),):
            raise InputError(
                f"`y` needs one class per sample. Received shape {np.shape(own)} for the {len(x)} "
                f"samples of client {name}."
            )


def _feature_names(matrix: Any) -> tuple[str, ...]:
    columns = getattr(matrix, "columns", None)
    return () if columns is None else tuple(map(str, columns))


def _in_order(matrix: Any, features: tuple[str, ...]) -> Any:
    """Returns a data frame with its columns in the order of `features`, if it has these."""
    own = _feature_names(matrix)
    if own == features or sorted(own) != sorted(features) or len(set(own)) < len(own):
        return matrix
    columns = {str(column): column for column in matrix.columns}
    return matrix[[columns[name] for name in features]]


def _check_same_features(names: Sequence[str], features: Sequence[tuple[str, ...]]) -> None:
    for name, own in zip(names, features, strict=True):
        if own != features[0]:
            raise InputError(
                f"The clients must have the same features. Received "
                f"{list(features[0])} at {names[0]}, {list(own)} at {name}."
            )


def _unfold(name: str, matrix: Any) -> Unfolded:
    from tfcluster.validation import unfold

    try:
        return unfold(matrix)
    except InputError as error:
        raise InputError(f"Client {name}: {error}") from error


def _check_images(names: Sequence[str], shapes: Sequence[tuple[int, int] | None]) -> None:
    for name, shape in zip(names, shapes, strict=True):
        if shape != shapes[0]:
            raise InputError(
                f"The clients must have images of one shape, or none. Received {shapes[0]} at "
                f"{names[0]}, {shape} at {name}."
            )


def _matrix(name: str, matrix: Any) -> np.ndarray:
    from tfcluster.validation import TEXT_ADVICE

    try:
        array = np.asarray(matrix, dtype=np.float64 if _is_wide(matrix) else np.float32)
    except (TypeError, ValueError) as error:
        advice = f" {TEXT_ADVICE}" if "string" in str(error) else ""
        raise InputError(
            f"The samples of client {name} must be numbers. Received: {error}.{advice}"
        ) from error
    if array.ndim != 2 or 0 in array.shape:
        raise InputError(
            f"Client {name} needs a matrix of at least one sample and one feature. Received shape "
            f"{array.shape}."
        )
    return array


def _is_wide(matrix: Any) -> bool:
    """Returns whether numbers may lose digits in float32."""
    return np.asarray(matrix).dtype != np.float32


def _check_widths(names: Sequence[str], arrays: Sequence[np.ndarray]) -> None:
    for name, array in zip(names, arrays, strict=True):
        if array.shape[1] != arrays[0].shape[1]:
            raise InputError(
                f"The clients must have the same features. Received {arrays[0].shape[1]} at "
                f"{names[0]}, {array.shape[1]} at {name}."
            )


def _words(classes: ArrayLike) -> tuple[str, ...]:
    return tuple(map(str, np.asarray(classes)))
