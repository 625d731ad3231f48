"""What every federated command does around its algorithm: clients, carrier, scaling, labels."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from rich.console import Console
from rich.markup import escape

from federated.algorithms.standardization import standardizer
from federated.backends.processes import engine_processes
from federated.core.backend import Carrier
from federated.core.rounds import RoundCheckpoint, Score, Stage, run_stages
from federated.core.sampling import Participant, Plan
from federated.data.client_store import ClientStore, Rows
from federated.data.federated_dataset import Federation, Split, load_federation
from tfcluster import metrics, plots
from tfcluster.cli.cluster_tables import print_partition
from tfcluster.cli.options import RunOptions
from tfcluster.cli.run_folder import RunFolder, format_labels, open_run_folder, settle_threads
from tfcluster.cli.score_tables import MethodScores, print_scores
from tfcluster.dec.self_training import fit_kmeans
from tfcluster.errors import InputError, unknown_name
from tfcluster.estimator import digest
from tfcluster.files import Arrays, atomic_write
from tfcluster.runtime import provenance, set_threads
from tfcluster.scaling import Standardizer
from tfcluster.training.phases import Monitor, Record
from tfcluster.training.progress import TrainingProgress
from tfcluster.validation import check_n_clusters

# By name, so that no engine is imported unless it is asked for.
CARRIERS: Mapping[str, str] = {
    "local": "federated.backends.local:LocalCarrier",
    "flower": "federated.backends.flower.carrier:FlowerCarrier",
    "tff": "federated.backends.tff.carrier:TFFCarrier",
}


@dataclasses.dataclass(frozen=True)
class FederateOptions(RunOptions):
    """What a federated run was asked for; everything its weights depend on but the engine.

    Attributes:
      partition: How rows are split over clients; see `federation.Split`.
      clients: Number of clients; 0 for five, or for all natural groups.
      alpha: Of "dirichlet" and "quantity".
      per_client: Shards of a client.
      clients_per_round: Clients chosen for a round; 0 for all.
      dropout: Probability that a chosen client does not answer.
      standardize: Whether features get mean 0 and standard deviation 1 by federated sums; None
        where the rows have units or missing values.
      evaluate_every: Rounds between two scores.
    """

    partition: str = "iid"
    clients: int = 0
    alpha: float | None = None
    per_client: int | None = None
    clients_per_round: int = 0
    dropout: float = 0.0
    standardize: bool | None = None
    evaluate_every: int = 10

    def federation(self) -> Federation:
        """The clients."""
        split = Split(self.partition, self.clients, self.alpha, self.per_client)
        return load_federation(self.dataset, split, self.seed)

    def plan(self, n_clients: int) -> Plan:
        """Who takes part in which round."""
        return Plan(n_clients, self.clients_per_round, self.dropout, self.seed)


AnyOptions = TypeVar("AnyOptions", bound=FederateOptions)


def parted(overrides: Mapping[str, Any], part: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Overrides of a part of the configuration, by their names within it, and all others."""
    prefix = f"{part}."
    own = {k.removeprefix(prefix): v for k, v in overrides.items() if k.startswith(prefix)}
    return own, {k: v for k, v in overrides.items() if not k.startswith(prefix)}


def check_backend(name: str) -> None:
    """Sees to it that a carrier of this name exists.

    Raises:
      InputError: If not.
    """
    if name not in CARRIERS:
        raise unknown_name("backend", name, CARRIERS)


def make_carrier(backend: str, clients: ClientStore, n_workers: int) -> Carrier:
    """Starts an engine.

    Args:
      backend: "local", "flower" or "tff".
      clients: Rows of each.
      n_workers: Clients at work at a time.
    """
    module, _, name = CARRIERS[backend].partition(":")
    carrier: Carrier = getattr(importlib.import_module(module), name)(clients, n_workers)
    return carrier


@dataclasses.dataclass(frozen=True)
class Carried:
    """Clients on a carrier.

    Attributes:
      federation: Their rows as they were given.
      store: Their rows as they are used.
      carrier: Runs the rounds.
      everyone: All clients as participants, for rounds that draw nothing.
      scaling: What the clients did to their rows; None if nothing.
    """

    federation: Federation
    store: ClientStore
    carrier: Carrier
    everyone: list[Participant]
    scaling: Standardizer | None


@contextlib.contextmanager
def carried(backend: str, federation: Federation, options: FederateOptions) -> Iterator[Carried]:
    """Starts an engine on clients whose rows are scaled; ends it, and all of its processes.

    Args:
      backend: "local", "flower" or "tff".
      federation: The clients.
      options: `threads` clients work at a time.
    """
    scratch = Path(tempfile.mkdtemp(prefix="tfcluster-"))
    with engine_processes(scratch):
        store = ClientStore.write(scratch, federation.clients, federation.names)
        carrier = make_carrier(backend, store, options.n_threads)
        everyone = options.plan(len(store)).round(0, everyone=True)
        with contextlib.closing(carrier):
            scaling = None
            if is_standardized(federation, options.standardize):
                scaling = standardizer(carrier, everyone, store.n_features)
                store.change(scaling.__call__)
            yield Carried(federation, store, carrier, everyone, scaling)


def show_partition(console: Console, run: RunFolder, federation: Federation) -> None:
    """Prints and draws who has how many rows of which class."""
    counts, classes = federation.counts(), federation.classes or ("rows",)
    print_partition(console, counts, federation.names, classes)
    plots.draw_partition(run.path / "partition.png", counts, federation.names, classes)


def is_standardized(federation: Federation, standardize: bool | None) -> bool:
    """Whether clients will bring features to mean 0; where None was said, if rows have units."""
    return not federation.is_scaled if standardize is None else standardize


def one_number_of_clusters(options: RunOptions, federation: Federation) -> int:
    """The number of clusters asked for, or the number of classes.

    Raises:
      InputError: If it is no single number, or there are fewer rows.
    """
    classes = np.arange(len(federation.classes)) if federation.classes else None
    numbers = options.parse_n_clusters(classes)
    if len(numbers) != 1:
        raise InputError(
            "Federated training takes one number of clusters, as --n-clusters 10. "
            f"Received: {options.n_clusters!r}."
        )
    check_n_clusters(numbers[0])
    n_rows = sum(federation.sizes)
    if n_rows < numbers[0]:
        raise InputError(f"{numbers[0]} clusters need as many rows. Received: {n_rows}.")
    return numbers[0]


def check_finite(federation: Federation, standardize: bool | None) -> None:
    """Sees to it that no row holds what nothing will fill.

    Raises:
      InputError: If a number is missing or infinite.
    """
    for name, (x, _) in zip(federation.names, federation.clients, strict=True):
        is_filled = is_standardized(federation, standardize)
        wrong = np.isinf(x) if is_filled else ~np.isfinite(x)
        if wrong.any():
            raise InputError(
                f"Rows must hold finite numbers. Received {wrong.sum()} others at client {name}. "
                "Mend them, or pass --standardize, which fills what is missing with the mean."
            )


def write_client_labels(
    run: RunFolder, at: Carried, label: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
) -> list[np.ndarray]:
    """Writes `clients/NAME/labels.csv` for every client, as each would for itself.

    Args:
      run: The run's folder.
      at: The clients.
      label: Rows to labels and how sure they are.

    Returns:
      Labels of each client.
    """
    found = []
    for i, name in enumerate(at.store.names):
        labels, confidence = label(np.array(at.store.rows(i)[0]))
        rows = zip(range(len(labels)), labels.tolist(), confidence.tolist(), strict=True)
        folder = run.path / "clients" / name.replace("/", "_")
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(folder / "labels.csv") as stream:
            stream.write(format_labels(rows).encode())
        found.append(labels)
    return found


def write_scaling(run: RunFolder, scaling: Standardizer | None) -> None:
    """Keeps what new rows have to go through before the model: `scaling.npz`."""
    if scaling is not None:
        scaling.save(run.path / "scaling.npz")


def told_of_left_out(console: Console, monitor: Monitor) -> Monitor:
    """Says, once for each, whose numbers were not finite."""
    told: set[str] = set()

    def watch(record: Record) -> None:
        for name in set(record["left_out"]) - told:
            told.add(name)
            console.print(
                f"[bold yellow]Warning:[/] numbers of client {escape(name)} are not finite in "
                f"phase {record['phase']}, round {record['step']}; it is left out where they are."
            )
        monitor(record)

    return watch


@dataclasses.dataclass(frozen=True)
class FederatedRun:
    """A run that was checked and may begin; what is the same whatever is trained.

    Attributes:
      options: What was asked for.
      n_clusters: Clusters to find.
      run: The folder.
      console: Where progress and tables go.
      at: Clients on a carrier.
      backend: Name of the carrier.
    """

    options: FederateOptions
    n_clusters: int
    run: RunFolder
    console: Console
    at: Carried
    backend: str

    def train(
        self,
        stages: Sequence[Stage],
        score: Score,
        watch: Callable[[Monitor], Monitor] = lambda monitor: monitor,
    ) -> tuple[Arrays, list[Record]]:
        """Takes the stages, with progress, records and a checkpoint every round.

        Args:
          stages: In order.
          score: Adds scores to records.
          watch: Wraps the monitor, as to warn.
        """
        # as given: what engines make of common units may differ in the last bit
        given = [part for rows in self.at.federation.clients for part in rows if part is not None]
        plan = self.options.plan(len(self.at.store))
        identity = {
            "data": digest(*map(np.ascontiguousarray, given)),
            "plan": dataclasses.asdict(plan),
            "config": self.run.read_config()["config"],
        }
        with TrainingProgress(self.console, unit="rounds") as progress:
            return run_stages(
                stages,
                self.at.carrier,
                plan,
                names=self.at.store.names,
                facts={"backend": self.backend},
                score=score,
                monitor=told_of_left_out(self.console, watch(self.run.log_before(progress))),
                checkpoint=RoundCheckpoint(self.run.path / "checkpoint.npz", identity),
            )

    def pooled(self) -> tuple[np.ndarray, np.ndarray | None]:
        """All rows as they are used, and their classes."""
        rows: list[Rows] = [self.at.store.rows(i) for i in range(len(self.at.store))]
        return self.at.federation.pooled(rows)

    def kmeans_scores(self, X: np.ndarray, y: np.ndarray | None, restarts: int) -> MethodScores:
        """k-means on rows in one place, for comparison."""
        labels = fit_kmeans(X, self.n_clusters, restarts, 0).labels_
        return {"k-means": metrics.score(X, labels, y)}

    def add_silhouette(
        self, scores: dict[str, Any], X: np.ndarray, labels: Sequence[np.ndarray]
    ) -> None:
        """Adds the true silhouette, which needs all rows in one place."""
        found = metrics.score(X, np.concatenate(labels))
        names = ("silhouette", "silhouette_rows", "silhouette_seed")
        scores |= {name: found[name] for name in names if name in found}
        scores["silhouette_of"] = "pooled rows, which only a simulation has"

    def draw_client_clusters(self, labels: Sequence[np.ndarray]) -> None:
        """Draws how many rows of each cluster a client has."""
        counts = np.stack([np.bincount(own, minlength=self.n_clusters) for own in labels])
        plots.draw_partition(
            self.run.path / "client_clusters.png",
            counts,
            self.at.federation.names,
            range(self.n_clusters),
            parts="cluster",
        )

    def write_result(self, history: Sequence[Record], scores: MethodScores) -> None:
        """Writes `result.json` and prints the scores."""
        phases = dict.fromkeys(record["phase"] for record in history)
        rounds = {phase: sum(r["phase"] == phase for r in history) for phase in phases}
        result = {
            **self.run.describe(),
            "backend": self.backend,
            "n_clusters": self.n_clusters,
            "clients": len(self.at.store),
            "n_rows": sum(self.at.federation.sizes),
            "rounds": rounds,
        }
        self.run.write_json("result.json", {**result, "scores": scores, **provenance()})
        print_scores(self.console, scores, {})


def checked(
    options: AnyOptions, out: Path, backend: str, resume: bool
) -> tuple[AnyOptions, Federation, int]:
    """The options with their threads, the clients, and the clusters to find, whatever is trained.

    Raises:
      InputError: If an option or the data does not fit.
    """
    check_backend(backend)
    options = settle_threads(options, out, resume)
    federation = options.federation()
    check_finite(federation, options.standardize)
    options.plan(len(federation.names))
    return options, federation, one_number_of_clusters(options, federation)


@contextlib.contextmanager
def begun(
    algorithm: str,
    options: FederateOptions,
    config: Any,
    federation: Federation,
    n_clusters: int,
    *,
    out: Path,
    backend: str,
    resume: bool,
    console: Console,
) -> Iterator[dict[str, Any]]:
    """Opens a run's folder and starts its engine, once everything was checked.

    Yields:
      The fields of a `FederatedRun`.
    """
    run = open_run_folder(algorithm, options, config, out, resume)
    set_threads(options.n_threads)
    with run.announce(console):
        show_partition(console, run, federation)
        console.print(f"Starting the {backend} engine ...")
        with carried(backend, federation, options) as at:
            yield {
                "options": options,
                "n_clusters": n_clusters,
                "run": run,
                "console": console,
                "at": at,
                "backend": backend,
            }


def scores_of(record: Record) -> dict[str, Any]:
    """What of a record are scores."""
    training = (
        "phase", "step", "of", "clients", "left_out", "converged", "backend", "loss",
        "critic_loss", "rows", "inertia", "shift", "mass", "bytes_up", "bytes_down",
        "round_seconds",
    )  # fmt: skip
    return {name: value for name, value in record.items() if name not in training}
