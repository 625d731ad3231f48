"""What is compared: cases as plain values, and the suites they make up."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

ENGINES = ("local", "flower", "tff")
CENTRAL, ALONE = "central", "alone"

Settings = Mapping[str, Any]

DEFAULTS = "fedavg, lloyd, global"


@dataclasses.dataclass(frozen=True)
class Case:
    """One run; equal values give equal weights on every engine.

    Attributes:
      algorithm: "autoencoder" (rounds of pretraining, for their time), "dec" or "clustergan".
      dataset: A name.
      partition: How rows are split, with its number if it takes one: "iid", "dirichlet 0.3".
      clients: How many; 0 for all natural groups.
      per_round: Clients that take part in a round; 0 for all.
      backend: An engine; or "central", all rows in one place; or "alone", every client for
        itself.
      seed: Of everything random.
      procedure: What is tried, in a word; `settings` says it exactly.
      settings: Fields of the federated configuration that are set otherwise.
      evaluate_every: Rounds between two scores; 0 for the end only.
      threads: Operations side by side, and clients at work at a time.
    """

    algorithm: str
    dataset: str = "digits"
    partition: str = "iid"
    clients: int = 5
    per_round: int = 0
    backend: str = "local"
    seed: int = 0
    procedure: str = "fedavg"
    settings: Settings = dataclasses.field(default_factory=dict)
    evaluate_every: int = 0
    threads: int = 2

    @property
    def key(self) -> str:
        """The case in one line, equal for equal cases."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @property
    def clients_key(self) -> str:
        """Which clients on which engine: cases that share it can share a process."""
        values = dataclasses.asdict(self)
        names = ("dataset", "partition", "clients", "per_round", "backend", "seed", "threads")
        return json.dumps([values[name] for name in names])

    @property
    def split(self) -> dict[str, Any]:
        """Partition and its number, as `FederateOptions` takes them."""
        name, _, number = self.partition.partition(" ")
        return {"partition": name, "alpha": float(number) if number else None}

    def __str__(self) -> str:
        words = (self.algorithm, self.dataset, self.partition, f"{self.clients} clients")
        return ", ".join((*words, self.procedure, self.backend, f"seed {self.seed}"))


def from_dict(values: Mapping[str, Any]) -> Case:
    """The case of a result line."""
    return Case(**values)


Score = Callable[[Case], float]
"""How good a finished run was; what failed was worst."""

# Budgets that fit: rounds are enough for a level, not for the last thousandth; and an autoencoder
# of 34,000 weights, which 1,797 rows of 64 numbers fill.
DEC: Settings = {
    "model.dims": [128, 64, 10],
    "pretraining_rounds": 40,
    "lloyd_rounds": 20,
    "rounds": 21,
}
GAN: Settings = {"rounds": 10, "work.iterations": 20, "lloyd_rounds": 10}
GAN_LONG: Settings = {"rounds": 10, "work.iterations": 100, "lloyd_rounds": 20}
GAN_SPLIT: Settings = {**GAN_LONG, "rounds": 100, "work.iterations": 10, "placement": "split"}
GAN_CARRIED: Settings = {**GAN_LONG, "work.carry_optimizer": True}
_QUICK: Settings = {"pretraining_rounds": 2, "lloyd_rounds": 2, "rounds": 3}

HETEROGENEITY = ("iid", "dirichlet 1", "dirichlet 0.3", "dirichlet 0.1", "one_class")


def _on_engines(cases: Sequence[Case], engines: Sequence[str] = ENGINES) -> Iterator[Case]:
    """A B C, A B C: neighbours in time are the same work on different engines."""
    for case in cases:
        for engine in engines:
            yield dataclasses.replace(case, backend=engine)


def _smoke(seeds: Sequence[int]) -> Iterator[Case]:
    yield from _on_engines([Case("dec", clients=2, seed=s, settings=_QUICK) for s in seeds])


def _digits(seeds: Sequence[int]) -> Iterator[Case]:
    for seed in seeds:
        cases = (
            Case("dec", seed=seed, settings=DEC, evaluate_every=4),
            Case("clustergan", seed=seed, settings=GAN, evaluate_every=5),
        )
        yield from _on_engines(cases, (CENTRAL, *ENGINES))


def _mnist_writers(seeds: Sequence[int]) -> Iterator[Case]:
    # a writer has about 90 rows: batches that cut them into steps, networks whose step is cheap
    work: Settings = {
        "model.dims": [256, 64, 10],
        "pretraining_rounds": 60,
        "pretraining.epochs": 4,
        "pretraining.batch_size": 16,
        "lloyd_rounds": 10,
        "rounds": 21,
        "clustering.steps": 20,
        "clustering.batch_size": 32,
        "model.tol": 0.0,  # labels that settle end no run: every engine takes the same rounds
    }
    case = Case(
        "dec", "mnist", "natural", 100, 20, procedure="20 of 100", settings=work, evaluate_every=4
    )
    yield from _on_engines([dataclasses.replace(case, seed=seed) for seed in seeds])


def _mnist_clustergan(seeds: Sequence[int]) -> Iterator[Case]:
    """A generator step a round: it is their cost that is looked at."""
    work = {"rounds": 20, "work.iterations": 1, "lloyd_rounds": 1}
    yield from _on_engines(
        [Case("clustergan", "mnist", procedure="average", seed=s, settings=work) for s in seeds]
    )


def _scaling(seeds: Sequence[int]) -> Iterator[Case]:
    base: Settings = {"pretraining_rounds": 6, "pretraining.epochs": 1, "model.dims": [128, 10]}
    for seed in seeds:
        case = Case("autoencoder", "mnist", clients=10, seed=seed, settings=base)
        cases = [
            dataclasses.replace(case, clients=n, procedure=f"clients={n}")
            for n in (10, 30, 100, 300, 1_000)
        ]
        for dims in ([10], [128, 10], [500, 500, 10], [500, 500, 2_000, 10]):
            changed = {**base, "model.dims": dims, "pretraining.steps": 1}
            name = f"model={'-'.join(map(str, dims))}"
            cases.append(dataclasses.replace(case, procedure=name, settings=changed))
        for steps in (1, 10, 100, 300):
            changed = {**base, "pretraining.steps": steps}
            cases.append(dataclasses.replace(case, procedure=f"steps={steps}", settings=changed))
        yield from _on_engines(cases)


def _heterogeneity(seeds: Sequence[int]) -> Iterator[Case]:
    for seed in seeds:
        dec = Case("dec", seed=seed, settings=DEC, threads=1)
        gan = dataclasses.replace(
            dec, algorithm="clustergan", procedure="average", settings=GAN_LONG
        )
        split = dataclasses.replace(gan, procedure="split", settings=GAN_SPLIT)
        carried = dataclasses.replace(gan, procedure="average, carried", settings=GAN_CARRIED)
        natural = dataclasses.replace(dec, dataset="mnist", partition="natural", clients=10)
        yield from _on_engines((dec, gan, natural), (CENTRAL,))
        yield from _on_engines((natural,), ("local", ALONE))
        for partition in HETEROGENEITY:
            clients = 10 if partition == "one_class" else 5
            for case in (dec, gan, split, carried):
                here = dataclasses.replace(case, partition=partition, clients=clients)
                has_alone = case in (dec, gan)  # a client by itself averages nothing
                yield from _on_engines((here,), ("local", ALONE) if has_alone else ("local",))


# Every rule is tried with three values of what its authors say to tune, on seeds of its own.
TRIED: Mapping[str, tuple[str, tuple[float, ...]]] = {
    "fedavg": ("learning_rate", (0.5, 1.0, 1.5)),
    "fedavgm": ("momentum", (0.3, 0.6, 0.9)),
    "fedadam": ("learning_rate", (3e-3, 1e-2, 3e-2)),
    "fedyogi": ("learning_rate", (3e-3, 1e-2, 3e-2)),
    "fedadagrad": ("learning_rate", (3e-3, 1e-2, 3e-2)),
    "fedprox": ("proximal", (0.001, 0.01, 0.1)),
    "median": ("learning_rate", (0.5, 1.0, 1.5)),
    "trimmed_mean": ("trim", (0.1, 0.2, 0.4)),  # of five clients none, one, two at each end
}
TUNING_SEEDS = (100, 101)
PARTITIONS = ("iid", "dirichlet 0.3")
TUNED_ON = PARTITIONS[1]
CENTROIDS = ("k_fed", "max_min", "double_kmeans", "random", "random_weighted")
TARGETS = ("local", "batch")


def _by_rule(rule: str, value: float, partition: str, seed: int) -> Case:
    settings = {**DEC, "aggregation": rule, f"aggregation.{TRIED[rule][0]}": value}
    return Case("dec", partition=partition, seed=seed, procedure=rule, settings=settings, threads=1)


def _tuning(seeds: Sequence[int], score: Score) -> Iterator[Case]:
    del seeds, score
    for seed in TUNING_SEEDS:
        for rule, (_, values) in TRIED.items():
            for value in values:
                yield _by_rule(rule, value, TUNED_ON, seed)


def tuned(rule: str, score: Score) -> float:
    """The rule's number with the best mean score over the tuning seeds."""
    totals = {
        value: sum(score(_by_rule(rule, value, TUNED_ON, seed)) for seed in TUNING_SEEDS)
        for value in TRIED[rule][1]
    }
    return max(totals, key=totals.__getitem__)


def _procedures(seeds: Sequence[int], score: Score) -> Iterator[Case]:
    """Paired: all else is equal, the first weights and the plan among it."""
    for seed in seeds:
        for partition in PARTITIONS:
            for rule in TRIED:
                yield _by_rule(rule, tuned(rule, score), partition, seed)
            plain = Case("dec", partition=partition, seed=seed, settings=DEC, threads=1)
            yield dataclasses.replace(plain, procedure=DEFAULTS)
            for name, choices in (("centroids", CENTROIDS), ("target", TARGETS)):
                for choice in choices:
                    changed = {**DEC, name: choice}
                    yield dataclasses.replace(plain, procedure=f"{name} {choice}", settings=changed)


@dataclasses.dataclass(frozen=True)
class Suite:
    """Cases with one purpose.

    Attributes:
      name: As on the command line.
      purpose: In a line.
      stages: Seeds, and the scores of what is finished, to runs in order; each stage begins when
        the one before is done.
      seeds: How many, unless said otherwise.
      is_timed: Whether seconds are compared, so that runs must not share the machine.
    """

    name: str
    purpose: str
    stages: Sequence[Callable[[Sequence[int], Score], Iterator[Case]]]
    seeds: int = 3
    is_timed: bool = True


def _plain(
    cases: Callable[[Sequence[int]], Iterator[Case]],
) -> tuple[Callable[[Sequence[int], Score], Iterator[Case]]]:
    return (lambda seeds, _: cases(seeds),)


def _budget(settings: Settings) -> str:
    return f"{settings['rounds']} rounds of {settings['work.iterations']} iterations"


SUITES: Mapping[str, Suite] = {
    suite.name: suite
    for suite in (
        Suite("smoke", "A few rounds on every engine, to see that all works", _plain(_smoke), 1),
        Suite(
            "digits",
            f"DEC and ClusterGAN ({_budget(GAN)}) on digits on every engine",
            _plain(_digits),
        ),
        Suite("mnist-writers", "DEC on MNIST, 20 of 100 writers a round", _plain(_mnist_writers)),
        Suite(
            "mnist-clustergan",
            "Rounds of convolutional ClusterGAN on MNIST, five clients",
            _plain(_mnist_clustergan),
            1,
        ),
        Suite("scaling", "Cost of a round by clients, model and work", _plain(_scaling), 1),
        Suite(
            "heterogeneity",
            "From IID rows to one class per client, against central and alone; ClusterGAN for "
            f"1,000 iterations: {_budget(GAN_LONG)} (average), {_budget(GAN_SPLIT)} (split)",
            _plain(_heterogeneity),
            is_timed=False,
        ),
        Suite(
            "aggregation",
            "Which aggregation, centroids and target are best",
            (_tuning, _procedures),
            10,
            is_timed=False,
        ),
    )
}
