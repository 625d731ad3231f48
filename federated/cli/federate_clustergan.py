"""`tfcluster federate clustergan`: from clients to a folder of results."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from rich.console import Console

from federated.algorithms.clustergan import AdversarialWork
from federated.algorithms.evaluation import (
    ClusterPass,
    FederatedScores,
    Labelling,
    federated_scores,
)
from federated.algorithms.gan_codes import GANArgmax, GANCodes, NearestCenter
from federated.cli.run import (
    FederatedRun,
    FederateOptions,
    begun,
    checked,
    is_standardized,
    scores_of,
    write_client_labels,
    write_scaling,
)
from federated.core.aggregation import aggregation
from federated.core.algorithm import ServerState
from federated.core.rounds import Stage
from federated.data.federated_dataset import Federation
from federated.phases.centroids import Centroids, check_offers
from federated.phases.clustergan import (
    AdversarialStage,
    FederatedGANConfig,
    Placement,
    cluster_use,
    gan_stages,
    matched_centers,
)
from tfcluster import plots
from tfcluster.cli.score_tables import MethodScores
from tfcluster.clustergan.estimator import ClusterGAN, check_range
from tfcluster.clustergan.networks import Networks, check_width
from tfcluster.config import GANConfig, gan_config, override
from tfcluster.errors import InputError
from tfcluster.estimator import unnumbered
from tfcluster.training.phases import Monitor, Record

_ITERATIONS = {"average": 100, "split": 10}
_KMEANS_RESTARTS = 20
_SHOWN = 10  # rows of a cluster in a picture


@dataclasses.dataclass(frozen=True)
class FederatedGANOptions(FederateOptions):
    """What a run of federated ClusterGAN was asked for.

    Attributes:
      aggregation: How the server moves what clients train, by name.
      placement: Who trains generator and encoder: clients ("average") or the server ("split").
      iterations: Of a round, each with one step of generator and encoder; 0 for 100 of "average"
        and 10 of "split".
      carry_optimizer: Whether the clients' moments are averaged and go on.
      rounds: Of training; 0 for as many as the central protocol's steps take.
      centroids: How centres are found among the codes.
    """

    evaluate_every: int = 1  # the use of clusters is watched in every round
    aggregation: str = "fedavg"
    placement: Placement = "average"
    iterations: int = 0
    carry_optimizer: bool = False
    rounds: int = 0
    centroids: Centroids = "lloyd"

    def config(self) -> FederatedGANConfig:
        """The configuration, with the overrides."""
        named = FederatedGANConfig(
            model=gan_config(self.preset, self.dataset),
            placement=self.placement,
            aggregation=aggregation(self.aggregation),
            work=AdversarialWork(
                self.iterations or _ITERATIONS.get(self.placement, 1), self.carry_optimizer
            ),
            rounds=self.rounds,
            centroids=self.centroids,
        )
        config: FederatedGANConfig = override(named, self.overrides)
        if self.rounds or "rounds" in self.overrides:
            return config
        rounds = -(-config.model.steps // config.work.iterations)
        return dataclasses.replace(config, rounds=rounds)


def federate_clustergan(
    options: FederatedGANOptions, out: Path, *, backend: str, resume: bool, console: Console
) -> None:
    """Trains ClusterGAN over clients, writes the run's folder and prints the scores.

    Everything is checked before anything is written.

    Args:
      options: What to train; must be the same again for `resume`.
      out: The run's folder.
      backend: Which carrier takes the rounds; may be another one after a resume.
      resume: Whether to go on with the run that is there.
      console: Where progress and tables go.

    Raises:
      InputError: If an option, the data or the folder does not fit.
      TrainingError: If a number stops being finite.
    """
    config = options.config()
    options, federation, n_clusters = checked(options, out, backend, resume)
    _check_rows(federation, options, config.model)
    check_offers(config.centroids, len(federation.names), n_clusters, config.client_centers)
    with begun(
        "federated_clustergan", options, config, federation, n_clusters,
        out=out, backend=backend, resume=resume, console=console,
    ) as fields:  # fmt: skip
        _Run(**fields, config=config).take()


def _check_rows(federation: Federation, options: FederateOptions, config: GANConfig) -> None:
    check_width(federation.n_features, config)
    if config.networks != "gene" and is_standardized(federation, options.standardize):
        raise InputError(
            f'The generator of networks="{config.networks}" ends in a sigmoid, so features must '
            "be in [0, 1], and standardised ones are not. Use --preset gene, or --no-standardize."
        )
    for x, _ in federation.clients:
        check_range(np.asarray(x), config)


def told_of_lost_clusters(console: Console, monitor: Monitor) -> Monitor:
    """Says, once for each, which clusters of argmax lose their rows; at the end, which have none.

    The first networks use but few, and whoever resumes knows no earlier look: what never had rows
    is told of after the last round.
    """
    told: set[int] = set()
    used: set[int] = set()

    def watch(record: Record) -> None:
        sizes = record.get("cluster_sizes", []) if record["phase"] == AdversarialStage.name else []
        is_end = record["step"] == record["of"]
        empty = {k for k, rows in enumerate(sizes) if not rows}
        new = sorted((empty if is_end else empty & used) - told)
        told.update(new)
        used.update(set(range(len(sizes))) - empty)
        if new:
            console.print(
                f"[bold yellow]Warning:[/] no rows are in cluster {', '.join(map(str, new))} "
                f"by round {record['step']}; {record['clusters_used']} of {len(sizes)} are in use."
            )
        monitor(record)

    return watch


@dataclasses.dataclass(frozen=True)
class _Run(FederatedRun):
    config: FederatedGANConfig

    def take(self) -> None:
        """Trains, labels, scores and draws."""
        stages = gan_stages(
            self.at.store.n_features, self.n_clusters, self.config, self.options.seed
        )
        kept, history = self.train(
            stages, self._score, lambda monitor: told_of_lost_clusters(self.console, monitor)
        )
        gan = ClusterGAN.from_weights(
            [unnumbered(name, kept) for name in Networks._fields],
            kept["centers"],
            self.config.model,
            random_state=self.options.seed,
            history=history,
        )
        gan.save(self.run.path / "model.npz")
        self.run.write_history(history)
        write_scaling(self.run, self.at.scaling)
        labels = write_client_labels(self.run, self.at, lambda x: self._labelled(gan, x))
        self.console.print("Scoring and drawing ...")
        scores = self._scores(history, labels)
        self._draw(gan, history, labels)
        self.write_result(history, scores)
        self.console.print(
            "ClusterGAN: the nearest centre among the codes. Both of its decoders are scored "
            "exactly, from sums over clients. The silhouette, and k-means on the rows, are of all "
            "rows in one place, which only a simulation has."
        )

    def _labelled(self, gan: ClusterGAN, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return gan.predict(x), self._z_c(gan, x).max(axis=1)

    def _z_c(self, gan: ClusterGAN, x: np.ndarray) -> np.ndarray:
        return gan.transform(x)[:, self.config.model.n_noise :]

    def _score(self, stage: Stage, state: ServerState, record: Record) -> Record:
        """Use of clusters by argmax now and then; all scores of both decoders at the end."""
        is_end = record["converged"] or record["step"] == stage.n_rounds
        if isinstance(stage, AdversarialStage):
            is_due = record["step"] == 1 or record["step"] % self.options.evaluate_every == 0
            return self._by_argmax(stage, state, is_end) if is_due or is_end else {}
        return self._by_center(state) if is_end else {}

    def _by_argmax(self, stage: AdversarialStage, state: ServerState, is_end: bool) -> Record:
        generator, _, encoder = stage.networks(state)
        labelling = GANArgmax(self.n_clusters, self.config.model)
        found = self._passes(labelling, [*generator, *encoder], is_end)
        scores = dict(found.scores)
        if "purity" in scores:
            scores["argmax_purity"] = scores.pop("purity")
        return {**scores, **cluster_use(found.sizes)}

    def _by_center(self, state: ServerState) -> Record:
        centers = matched_centers(np.asarray(state.context[0][0], np.float32))
        labelling = NearestCenter(GANCodes(self.n_clusters, self.config.model), self.n_clusters)
        found = self._passes(labelling, [*state.weights, centers], True)
        return {**found.scores, **cluster_use(found.sizes)}

    def _passes(self, labelling: Labelling, weights: list, is_end: bool) -> FederatedScores:
        first = ClusterPass(self.at.store.n_features, labelling, len(self.at.federation.classes))
        return federated_scores(
            self.at.carrier, self.at.everyone, first, weights, with_distances=is_end
        )

    def _scores(self, history: list[Record], labels: list[np.ndarray]) -> MethodScores:
        X, y = self.pooled()
        scores = self.kmeans_scores(X, y, _KMEANS_RESTARTS)
        seconds = 0.0
        for phase, name in (("adversarial", "argmax of z_c"), ("centroids", "ClusterGAN")):
            scored = [r for r in history if r["phase"] == phase and "cluster_sizes" in r]
            if scored:
                scores[name] = scores_of(scored[-1])
                seconds = scores[name]["seconds"]
        if "argmax_purity" in scores.get("argmax of z_c", {}):
            scores["argmax of z_c"]["purity"] = scores["argmax of z_c"].pop("argmax_purity")
        scores.setdefault("ClusterGAN", {"seconds": seconds})
        self.add_silhouette(scores["ClusterGAN"], X, labels)
        return scores

    def _draw(self, gan: ClusterGAN, history: list[Record], labels: list[np.ndarray]) -> None:
        folder, federation = self.run.path, self.at.federation
        _, y = self.pooled()
        found = np.concatenate(labels)
        rows = [np.asarray(self.at.store.rows(i)[0]) for i in range(len(self.at.store))]
        codes = np.concatenate([gan.transform(x) for x in rows])
        plots.draw_adversarial_curves(folder / "curves.png", history, unit="round")
        training = [record for record in history if record["phase"] == "adversarial"]
        plots.draw_cluster_sizes(folder / "cluster_use.png", training, unit="round")
        plots.draw_embedding(folder / "embedding.png", codes, found, y=y)
        samples = np.stack([gan.sample(_SHOWN, k) for k in range(self.n_clusters)])
        plots.draw_generated_samples(folder / "samples.png", samples, federation.picture)
        if y is not None:
            plots.draw_confusion(folder / "confusion.png", y, found)
        self.draw_client_clusters(labels)
