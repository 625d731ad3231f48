"""The suites of `tfcluster compare`: which cases answer which question."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence

from benchmarks.compare.cases import BACKENDS, CENTRALIZED, LOCAL_ONLY, Case, Settings

DEFAULTS = "fedavg, lloyd, global"

Score = Callable[[Case], float]
"""Returns the score of a finished run; a failed run has the worst score."""

# Budgets are large enough to rank methods, not to reach the best figure. The autoencoder has
# 34,000 weights, which suits the 1,797 samples of 64 features in digits.
DEC: Settings = {
    "model.dims": [128, 64, 10],
    "pretrain_rounds": 40,
    "lloyd_rounds": 20,
    "rounds": 21,
}
GAN: Settings = {"rounds": 10, "work.iterations": 20, "lloyd_rounds": 10}
GAN_LONG: Settings = {"rounds": 10, "work.iterations": 100, "lloyd_rounds": 20}
GAN_ON_SERVER: Settings = {**GAN_LONG, "rounds": 100, "work.iterations": 10, "generator": "server"}
GAN_CARRIED: Settings = {**GAN_LONG, "work.carry_optimizer": True}
_QUICK: Settings = {"pretrain_rounds": 2, "lloyd_rounds": 2, "rounds": 3}

HETEROGENEITY = ("iid", "dirichlet 1", "dirichlet 0.3", "dirichlet 0.1", "one_class")


def _alternate_backends(
    cases: Sequence[Case], backends: Sequence[str] = BACKENDS
) -> Iterator[Case]:
    """Yields each case on every backend in turn, so that drift of the machine affects all alike."""
    for case in cases:
        for backend in backends:
            yield dataclasses.replace(case, backend=backend)


def _list_smoke(seeds: Sequence[int]) -> Iterator[Case]:
    yield from _alternate_backends(
        [Case("dec", n_clients=2, seed=s, settings=_QUICK) for s in seeds]
    )


def _list_digits(seeds: Sequence[int]) -> Iterator[Case]:
    for seed in seeds:
        cases = (
            Case("dec", seed=seed, settings=DEC, evaluate_every=4),
            Case("clustergan", seed=seed, settings=GAN, evaluate_every=5),
        )
        yield from _alternate_backends(cases, (CENTRALIZED, *BACKENDS))


def _list_mnist_writers(seeds: Sequence[int]) -> Iterator[Case]:
    # A writer has about 90 samples: small batches give several steps, small networks cheap ones.
    work: Settings = {
        "model.dims": [256, 64, 10],
        "pretrain_rounds": 60,
        "pretraining.epochs": 4,
        "pretraining.batch_size": 16,
        "lloyd_rounds": 10,
        "rounds": 21,
        "clustering.steps": 20,
        "clustering.batch_size": 32,
        "model.tol": 0.0,  # no early stop, so that every backend takes the same number of rounds
    }
    case = Case(
        "dec", "mnist", "natural", 100, 20, procedure="20 of 100", settings=work, evaluate_every=4
    )
    yield from _alternate_backends([dataclasses.replace(case, seed=seed) for seed in seeds])


def _list_mnist_clustergan(seeds: Sequence[int]) -> Iterator[Case]:
    """Yields cases with one generator step a round, since only the cost is measured."""
    work = {"rounds": 20, "work.iterations": 1, "lloyd_rounds": 1}
    case = Case("clustergan", "mnist", procedure="generator clients", settings=work)
    yield from _alternate_backends([dataclasses.replace(case, seed=seed) for seed in seeds])


def _list_scaling(seeds: Sequence[int]) -> Iterator[Case]:
    base: Settings = {"pretrain_rounds": 6, "pretraining.epochs": 1, "model.dims": [128, 10]}
    for seed in seeds:
        case = Case("autoencoder", "mnist", n_clients=10, seed=seed, settings=base)
        cases = [
            dataclasses.replace(case, n_clients=n, procedure=f"clients={n}")
            for n in (10, 30, 100, 300, 1_000)
        ]
        for dims in ([10], [128, 10], [500, 500, 10], [500, 500, 2_000, 10]):
            changed = {**base, "model.dims": dims, "pretraining.steps": 1}
            name = f"model={'-'.join(map(str, dims))}"
            cases.append(dataclasses.replace(case, procedure=name, settings=changed))
        for steps in (1, 10, 100, 300):
            changed = {**base, "pretraining.steps": steps}
            cases.append(dataclasses.replace(case, procedure=f"steps={steps}", settings=changed))
        yield from _alternate_backends(cases)


def _list_heterogeneity(seeds: Sequence[int]) -> Iterator[Case]:
    for seed in seeds:
        dec = Case("dec", seed=seed, settings=DEC, threads=1)
        gan = dataclasses.replace(
            dec, algorithm="clustergan", procedure="generator clients", settings=GAN_LONG
        )
        server = dataclasses.replace(gan, procedure="generator server", settings=GAN_ON_SERVER)
        carried = dataclasses.replace(
            gan, procedure="generator clients, carried", settings=GAN_CARRIED
        )
        natural = dataclasses.replace(dec, dataset="mnist", partition="natural", n_clients=10)
        yield from _alternate_backends((dec, gan, natural), (CENTRALIZED,))
        yield from _alternate_backends((natural,), ("local", LOCAL_ONLY))
        for partition in HETEROGENEITY:
            n_clients = 10 if partition == "one_class" else 5
            for case in (dec, gan, server, carried):
                here = dataclasses.replace(case, partition=partition, n_clients=n_clients)
                # The variants of ClusterGAN differ only in what is averaged.
                backends = ("local", LOCAL_ONLY) if case in (dec, gan) else ("local",)
                yield from _alternate_backends((here,), backends)


# Each rule is tried with three values of the parameter that its authors tune, on separate seeds.
TRIED: Mapping[str, tuple[str, tuple[float, ...]]] = {
    "fedavg": ("learning_rate", (0.5, 1.0, 1.5)),
    "fedavgm": ("momentum", (0.3, 0.6, 0.9)),
    "fedadam": ("learning_rate", (3e-3, 1e-2, 3e-2)),
    "fedyogi": ("learning_rate", (3e-3, 1e-2, 3e-2)),
    "fedadagrad": ("learning_rate", (3e-3, 1e-2, 3e-2)),
    "fedprox": ("proximal", (0.001, 0.01, 0.1)),
    "median": ("learning_rate", (0.5, 1.0, 1.5)),
    "trimmed_mean": ("trim", (0.1, 0.2, 0.4)),  # of five clients: none, one, two at each end
}
TUNING_SEEDS = (100, 101)
PARTITIONS = ("iid", "dirichlet 0.3")
TUNED_ON = PARTITIONS[1]
CENTROIDS = ("k_fed", "max_min", "double_kmeans", "random", "random_weighted")
TARGETS = ("local", "batch")


def _make_rule_case(rule: str, value: float, partition: str, seed: int) -> Case:
    settings = {**DEC, "aggregation": rule, f"aggregation.{TRIED[rule][0]}": value}
    return Case("dec", partition=partition, seed=seed, procedure=rule, settings=settings, threads=1)


def _list_tuning(seeds: Sequence[int], score: Score) -> Iterator[Case]:
    del seeds, score
    for seed in TUNING_SEEDS:
        for rule, (_, values) in TRIED.items():
            for value in values:
                yield _make_rule_case(rule, value, TUNED_ON, seed)


def choose_value(rule: str, score: Score) -> float:
    """Returns the parameter of an aggregation rule with the best mean score on tuning seeds."""
    totals = {
        value: sum(score(_make_rule_case(rule, value, TUNED_ON, seed)) for seed in TUNING_SEEDS)
        for value in TRIED[rule][1]
    }
    return max(totals, key=totals.__getitem__)


def _list_procedures(seeds: Sequence[int], score: Score) -> Iterator[Case]:
    """Yields cases paired by seed: initial weights and sampled clients are the same."""
    for seed in seeds:
        for partition in PARTITIONS:
            for rule in TRIED:
                yield _make_rule_case(rule, choose_value(rule, score), partition, seed)
            plain = Case("dec", partition=partition, seed=seed, settings=DEC, threads=1)
            yield dataclasses.replace(plain, procedure=DEFAULTS)
            for name, choices in (("centroids", CENTROIDS), ("target", TARGETS)):
                for choice in choices:
                    changed = {**DEC, name: choice}
                    yield dataclasses.replace(plain, procedure=f"{name} {choice}", settings=changed)


@dataclasses.dataclass(frozen=True)
class Suite:
    """Cases that answer one question.

    Attributes:
      name: Name on the command line.
      purpose: What the suite measures, in one line.
      stages: Functions of the seeds and of the scores of finished runs that yield cases in order;
        a stage begins when the one before is finished.
      n_seeds: Default number of seeds.
      is_timed: Whether seconds are compared, so that runs must not share the machine.
    """

    name: str
    purpose: str
    stages: Sequence[Callable[[Sequence[int], Score], Iterator[Case]]]
    n_seeds: int = 3
    is_timed: bool = True


def _make_stage(
    cases: Callable[[Sequence[int]], Iterator[Case]],
) -> tuple[Callable[[Sequence[int], Score], Iterator[Case]]]:
    return (lambda seeds, _: cases(seeds),)


def _describe_budget(settings: Settings) -> str:
    return f"{settings['rounds']} rounds of {settings['work.iterations']} iterations"


SUITES: Mapping[str, Suite] = {
    suite.name: suite
    for suite in (
        Suite(
            "smoke",
            "A few rounds on every backend, to check the setup",
            _make_stage(_list_smoke),
            1,
        ),
        Suite(
            "digits",
            f"DEC and ClusterGAN ({_describe_budget(GAN)}) on digits on every backend",
            _make_stage(_list_digits),
        ),
        Suite(
            "mnist-writers",
            "DEC on MNIST, 20 of 100 writers per round",
            _make_stage(_list_mnist_writers),
        ),
        Suite(
            "mnist-clustergan",
            "Rounds of convolutional ClusterGAN on MNIST with five clients",
            _make_stage(_list_mnist_clustergan),
            1,
        ),
        Suite(
            "scaling",
            "Cost of a round by clients, local steps and model size",
            _make_stage(_list_scaling),
            1,
        ),
        Suite(
            "heterogeneity",
            "From IID samples to one class per client, compared with centralized and local-only "
            "training; ClusterGAN for 1,000 iterations: "
            f"{_describe_budget(GAN_LONG)} (generator on the clients), "
            f"{_describe_budget(GAN_ON_SERVER)} (generator on the server)",
            _make_stage(_list_heterogeneity),
            is_timed=False,
        ),
        Suite(
            "aggregation",
            "Comparison of aggregation rules, initial centroids and targets",
            (_list_tuning, _list_procedures),
            10,
            is_timed=False,
        ),
    )
}
