"""Options of `tfcluster federate`, each written once; see `tfcluster.cli.options`.

Options that are arguments of the estimators have their names and defaults, but for `clients`, which
is `n_clients`; a test compares them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import typer

from federated.data.federated_dataset import (
    FederatedDataset,
    PartitionConfig,
    load_federated_dataset,
)
from tfcluster.cli.options import (
    ASSIGNMENTS,
    ExecutionOptions,
    RunOptions,
    make_set_option,
)
from tfcluster.data.loading import DATASETS

Partition = Literal["iid", "dirichlet", "shards", "quantity", "one_class", "class_share", "natural"]
AggregationName = Literal[
    "fedavg", "fedavgm", "fedadam", "fedyogi", "fedadagrad", "fedprox", "median", "trimmed_mean"
]
Centroids = Literal["lloyd", "k_fed", "max_min", "double_kmeans", "random", "random_weighted"]


@dataclasses.dataclass(frozen=True)
class FederateOptions(RunOptions):
    """Options of every federated command that the weights depend on, but the backend.

    Attributes:
      partition: How samples are partitioned across clients; see `PartitionConfig`.
      clients: Number of clients; None for five, or for all natural groups.
      alpha: Concentration of "dirichlet" and "quantity".
      per_client: Shards per client.
      share: Share of a client's samples that are of its own class.
      clients_per_round: Clients sampled for a round; None for all.
      dropout: Probability that a sampled client does not answer.
      aggregation: The server's rule, by name.
      centroids: How centroids are found.
      evaluate_every: Rounds between two scores.
    """

    partition: Annotated[
        Partition, typer.Option(help="How samples are partitioned across clients.")
    ] = "iid"
    clients: Annotated[
        int | None, typer.Option(min=1, help="Number of clients. [default: 5, or all groups]")
    ] = None
    alpha: Annotated[
        float | None, typer.Option(help="Concentration of dirichlet and quantity, e.g. 0.3.")
    ] = None
    per_client: Annotated[int | None, typer.Option(min=1, help="Shards per client, e.g. 2.")] = None
    share: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Share of a client's own class with class_share."),
    ] = None
    clients_per_round: Annotated[
        int | None, typer.Option(min=1, help="Clients that take part in a round. [default: all]")
    ] = None
    dropout: Annotated[
        float, typer.Option(min=0, max=0.99, help="Probability that a client does not answer.")
    ] = 0.0
    aggregation: Annotated[
        AggregationName, typer.Option(help="How the server aggregates the clients' updates.")
    ] = "fedavg"
    centroids: Annotated[
        Centroids, typer.Option(help="How initial centroids are found; lloyd is exact.")
    ] = "lloyd"
    evaluate_every: Annotated[int, typer.Option(min=1, help="Rounds between two scores.")] = 10

    def check(self) -> None:
        """Reads all files before TensorFlow is imported, so that a wrong one is refused at once."""
        if self.dataset not in DATASETS:
            self.load()

    def load(self) -> FederatedDataset:
        """Returns the clients.

        Raises:
          InputError: If the data cannot be loaded or partitioned like this.
        """
        how = PartitionConfig(self.partition, self.clients, self.alpha, self.per_client, self.share)
        return load_federated_dataset(self.dataset, how, self.seed, self.table_options())

    def estimator_arguments(self, *names: str) -> dict[str, Any]:
        """Returns the estimator's arguments: the common ones, and those of these names."""
        common = (
            "partition", "alpha", "per_client", "share", "clients_per_round", "dropout",
            "standardize", "aggregation", "centroids", "evaluate_every", "overrides",
        )  # fmt: skip
        values = {name: getattr(self, name) for name in (*common, *names)}
        return {**values, "n_clients": self.clients, "random_state": self.seed}


@dataclasses.dataclass(frozen=True)
class FederatedDECOptions(FederateOptions):
    """Options of `tfcluster federate dec` that the weights depend on; see `FederatedDEC`.

    Attributes:
      target: Samples that the target of eq. 3 is taken over.
      pretrain_rounds: Rounds of pretraining; None for the protocol's passes.
      rounds: Bound on the rounds of clustering.
      local_epochs: Passes of a client in a round of pretraining.
      local_steps: Steps of a client in a round of clustering; None for the protocol's.
    """

    algorithm = "federated_dec"

    preset: Annotated[
        str, typer.Option(help="Protocol: keras, paper, or one for a data set, e.g. keras:mnist.")
    ] = "keras"
    n_clusters: Annotated[
        str | None,
        typer.Option(
            help="Number of clusters, or a range to compare, e.g. 2:10. [default: classes]"
        ),
    ] = None
    overrides: Annotated[
        Mapping[str, Any],
        ASSIGNMENTS,
        make_set_option("aggregation.momentum=0.5 or model.tol=0.002 or rounds_per_update=2"),
    ] = dataclasses.field(default_factory=dict)
    target: Annotated[
        Literal["global", "local", "batch"],
        typer.Option(help="Samples the target is taken over; global is exact."),
    ] = "global"
    pretrain_rounds: Annotated[
        int | None,
        typer.Option(min=0, help="Rounds of pretraining. [default: the protocol's passes]"),
    ] = None
    rounds: Annotated[
        int,
        typer.Option(
            min=0,
            help="Rounds of clustering and target updates in turn, at most. They end with a "
            "target update.",
        ),
    ] = 200
    local_epochs: Annotated[
        int, typer.Option(min=1, help="Passes of a client in a round of pretraining.")
    ] = 2
    local_steps: Annotated[
        int | None,
        typer.Option(
            min=1, help="Steps of a client in a round of clustering. [default: the protocol's]"
        ),
    ] = None

    def estimator_arguments(self, *names: str) -> dict[str, Any]:
        """Returns the arguments of `FederatedDEC`."""
        return super().estimator_arguments(
            "target", "pretrain_rounds", "rounds", "local_epochs", "local_steps", *names
        )


@dataclasses.dataclass(frozen=True)
class FederatedGANOptions(FederateOptions):
    """Options of `tfcluster federate clustergan` that the weights depend on.

    Attributes:
      generator: Who trains generator and encoder; see `FederatedClusterGAN`.
      iterations: Steps of generator and encoder in a round; None for the generator's usual number.
      carry_optimizer: Whether the clients' moments are averaged and carried.
      rounds: Rounds of training; None for the protocol's steps.
    """

    algorithm = "federated_clustergan"

    overrides: Annotated[
        Mapping[str, Any],
        ASSIGNMENTS,
        make_set_option("aggregation.momentum=0.5 or model.beta_c=5.0 or lloyd_rounds=50"),
    ] = dataclasses.field(default_factory=dict)
    centroids: Annotated[
        Centroids, typer.Option(help="How centroids of codes are found; lloyd is exact.")
    ] = "lloyd"
    evaluate_every: Annotated[int, typer.Option(min=1, help="Rounds between two scores.")] = 1
    generator: Annotated[
        Literal["clients", "server"],
        typer.Option(
            help="Who trains generator and encoder: clients, who then train all networks; or the "
            "server, while clients train the critic."
        ),
    ] = "clients"
    iterations: Annotated[
        int | None,
        typer.Option(
            "--iterations",
            "--generator-steps",
            min=1,
            help="Steps of generator and encoder in a round, each with the critic's steps at the "
            "clients. [default: 100 at the clients, 10 at the server]",
        ),
    ] = None
    carry_optimizer: Annotated[
        bool, typer.Option("--carry-optimizer", help="Average and carry the clients' Adam moments.")
    ] = False
    rounds: Annotated[
        int | None, typer.Option(min=0, help="Rounds of training. [default: the protocol's steps]")
    ] = None

    def estimator_arguments(self, *names: str) -> dict[str, Any]:
        """Returns the arguments of `FederatedClusterGAN`."""
        return super().estimator_arguments(
            "generator", "iterations", "carry_optimizer", "rounds", *names
        )


@dataclasses.dataclass(frozen=True)
class FederateExecution(ExecutionOptions):
    """Options of a federated command that the weights do not depend on.

    Attributes:
      backend: What runs the rounds; another one may resume the run.
      num_gpus: See `Flower`.
      insecure_worker: See `TFF`.
    """

    backend: Annotated[
        Literal["local", "flower", "tff"], typer.Option(help="What runs the rounds.")
    ] = "local"
    num_gpus: Annotated[
        float, typer.Option(min=0, help="GPUs of each of Flower's workers, perhaps a fraction.")
    ] = 0.0
    insecure_worker: Annotated[
        bool,
        typer.Option(
            "--insecure-worker",
            help="Run TFF's worker even where it cannot be isolated from the network.",
        ),
    ] = False
