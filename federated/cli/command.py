"""The command `tfcluster federate`; only reads its options, so that `--help` is quick."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Optional

import typer
from rich.console import Console

from tfcluster.cli.options import make_set_option as overrides
from tfcluster.cli.options import parse_assignments as assignments

# Until these commands are made from their options by `tfcluster.cli.commands`.
Verbose = Annotated[bool, typer.Option("--verbose", help="Show TensorFlow's log.")]
Out = Annotated[
    Optional[Path],
    typer.Option(
        help="Folder for the results; new or empty. [default: runs/ALGORITHM-DATASET-SEED]"
    ),
]
DataSet = Annotated[str, typer.Option(help="Name of a data set, or a .npz, .npy or .csv file.")]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Random seed.")]
Threads = Annotated[
    Optional[int], typer.Option(min=1, help="Operations run at a time. [default: cores, at most 2]")
]
Resume = Annotated[bool, typer.Option(help="Resume the run in --out.")]


def folder_of(out: Path | None, algorithm: str, dataset: str, seed: int) -> Path:
    """Returns the folder that was asked for, or the usual one."""
    return out or Path("runs") / f"{algorithm}-{Path(dataset).stem}-{seed}"


def show_tensorflow_log(verbose: bool) -> None:
    """Shows what TensorFlow's own code logs."""
    if verbose:
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "0"


federate = typer.Typer(
    no_args_is_help=True, help="Train over clients that keep their data, and write a folder."
)

Backend = Annotated[str, typer.Option(help="Engine: local, flower or tff.")]
Clients = Annotated[
    Optional[int], typer.Option(min=1, help="Number of clients. [default: 5, or all groups]")
]
Partition = Annotated[
    str, typer.Option(help="iid, dirichlet, shards, quantity, one_class or natural.")
]
Alpha = Annotated[
    Optional[float], typer.Option(help="Concentration of dirichlet and quantity, as 0.3.")
]
PerClient = Annotated[Optional[int], typer.Option(min=1, help="Shards of a client, as 2.")]
ClientsPerRound = Annotated[
    int, typer.Option(min=0, help="Clients that take part in a round; 0 for all.")
]
Dropout = Annotated[
    float, typer.Option(min=0, max=0.99, help="Probability that a client does not answer.")
]
Standardize = Annotated[
    Optional[bool],
    typer.Option(help="Bring features to mean 0 and sd 1. [default: where they have units]"),
]
EvaluateEvery = Annotated[int, typer.Option(min=1, help="Rounds between two scores.")]
Aggregation = Annotated[
    str,
    typer.Option(
        help="fedavg, fedavgm, fedadam, fedyogi, fedadagrad, fedprox, median or trimmed_mean."
    ),
]


@federate.command("dec")
def federate_dec(
    out: Out = None,
    dataset: DataSet = "digits",
    backend: Backend = "local",
    clients: Clients = None,
    partition: Partition = "iid",
    alpha: Alpha = None,
    per_client: PerClient = None,
    clients_per_round: ClientsPerRound = 0,
    dropout: Dropout = 0.0,
    standardize: Standardize = None,
    preset: Annotated[
        str, typer.Option(help="Protocol: keras, paper, or one for a data set as keras:mnist.")
    ] = "keras",
    n_clusters: Annotated[
        Optional[str], typer.Option(help="Number of clusters. [default: classes]")
    ] = None,
    aggregation: Aggregation = "fedavg",
    centroids: Annotated[
        str,
        typer.Option(
            help="First centres: lloyd (exact), k_fed, max_min, double_kmeans, random or "
            "random_weighted."
        ),
    ] = "lloyd",
    target: Annotated[
        str, typer.Option(help="Rows the target is taken over: global (exact), local or batch.")
    ] = "global",
    pretrain_rounds: Annotated[
        int, typer.Option(min=0, help="Rounds of pretraining; 0 for the protocol's passes.")
    ] = 0,
    rounds: Annotated[
        int,
        typer.Option(
            min=0,
            help="Rounds of clustering and exchanges of masses in turn, at most; 0 for 200. They "
            "end with an exchange.",
        ),
    ] = 0,
    local_epochs: Annotated[
        int, typer.Option(min=1, help="Passes of a client in a round of pretraining.")
    ] = 2,
    local_steps: Annotated[
        int,
        typer.Option(
            min=0, help="Steps of a client in a round of clustering; 0 for the protocol's."
        ),
    ] = 0,
    evaluate_every: EvaluateEvery = 10,
    seed: Seed = 0,
    threads: Threads = None,
    set_: Annotated[
        Optional[list[str]],
        overrides("aggregation.momentum=0.5 or model.tol=0.002 or rounds_per_exchange=2"),
    ] = None,
    resume: Resume = False,
    verbose: Verbose = False,
) -> None:
    """Train DEC over clients, in rounds."""
    show_tensorflow_log(verbose)
    from federated.cli.federate_dec import FederatedDECOptions
    from federated.cli.federate_dec import federate_dec as run

    options = FederatedDECOptions(
        dataset=dataset,
        preset=preset,
        n_clusters=n_clusters,
        seed=seed,
        threads=threads,
        overrides=assignments(set_ or []),
        partition=partition,
        clients=clients or 0,
        alpha=alpha,
        per_client=per_client,
        clients_per_round=clients_per_round,
        dropout=dropout,
        standardize=standardize,
        evaluate_every=evaluate_every,
        aggregation=aggregation,
        centroids=centroids,  # type: ignore[arg-type]
        target=target,
        pretraining_rounds=pretrain_rounds,
        rounds=rounds,
        local_epochs=local_epochs,
        local_steps=local_steps,
    )
    folder = folder_of(out, "federated-dec", dataset, seed)
    run(options, folder, backend=backend, resume=resume, console=Console())


@federate.command("clustergan")
def federate_clustergan(
    out: Out = None,
    dataset: DataSet = "digits",
    backend: Backend = "local",
    clients: Clients = None,
    partition: Partition = "iid",
    alpha: Alpha = None,
    per_client: PerClient = None,
    clients_per_round: ClientsPerRound = 0,
    dropout: Dropout = 0.0,
    standardize: Standardize = None,
    preset: Annotated[
        str,
        typer.Option(help="Protocol: mnist, pendigits, gene, ...; auto for that of the data set."),
    ] = "auto",
    n_clusters: Annotated[
        Optional[str], typer.Option(help="Number of clusters. [default: classes]")
    ] = None,
    placement: Annotated[
        str,
        typer.Option(
            help="average: clients train all networks; split: clients the critic, the server "
            "generator and encoder."
        ),
    ] = "average",
    iterations: Annotated[
        int,
        typer.Option(
            "--iterations",
            "--generator-steps",
            min=0,
            help="Steps of generator and encoder in a round, by clients or by the server, each "
            "with the critic's steps at the clients; 0 for 100 of average, 10 of split.",
        ),
    ] = 0,
    carry_optimizer: Annotated[
        bool,
        typer.Option(help="Average the clients' Adam moments too, and go on with them."),
    ] = False,
    rounds: Annotated[
        int, typer.Option(min=0, help="Rounds of training; 0 for the protocol's steps.")
    ] = 0,
    aggregation: Aggregation = "fedavg",
    centroids: Annotated[
        str,
        typer.Option(
            help="Centres of codes: lloyd (exact), k_fed, max_min, double_kmeans, random or "
            "random_weighted."
        ),
    ] = "lloyd",
    evaluate_every: EvaluateEvery = 1,
    seed: Seed = 0,
    threads: Threads = None,
    set_: Annotated[
        Optional[list[str]],
        overrides("aggregation.momentum=0.5 or model.beta_c=5.0 or lloyd_rounds=50"),
    ] = None,
    resume: Resume = False,
    verbose: Verbose = False,
) -> None:
    """Train ClusterGAN over clients, in rounds."""
    show_tensorflow_log(verbose)
    from federated.cli.federate_clustergan import FederatedGANOptions
    from federated.cli.federate_clustergan import federate_clustergan as run

    options = FederatedGANOptions(
        dataset=dataset,
        preset=preset,
        n_clusters=n_clusters,
        seed=seed,
        threads=threads,
        overrides=assignments(set_ or []),
        partition=partition,
        clients=clients or 0,
        alpha=alpha,
        per_client=per_client,
        clients_per_round=clients_per_round,
        dropout=dropout,
        standardize=standardize,
        evaluate_every=evaluate_every,
        aggregation=aggregation,
        placement=placement,  # type: ignore[arg-type]
        iterations=iterations,
        carry_optimizer=carry_optimizer,
        rounds=rounds,
        centroids=centroids,  # type: ignore[arg-type]
    )
    folder = folder_of(out, "federated-clustergan", dataset, seed)
    run(options, folder, backend=backend, resume=resume, console=Console())
