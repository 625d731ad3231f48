"""Result lines of `tfcluster compare` with known numbers."""

from benchmarks.compare.cases import CENTRALIZED, LOCAL_ONLY, LOCAL_TFF, Case
from benchmarks.compare.suites import SUITES, TRIED

FACTOR = {"local": 1.0, "flower": 1.25, LOCAL_TFF: 1.0, "tff": 2.0}
"""Ratio of a warm round to the local loop's."""

START = {"local": 0.0, "flower": 5.0, LOCAL_TFF: 0.0, "tff": 1.0}
"""Seconds until a backend is ready for rounds."""

BYTES = {"up": 290_000, "down": 290_040}


def line(case, accuracy=0.8, nmi=0.75, seconds=0.1, **changed):
    """Returns the line of a finished run; a warm round on the local loop takes `seconds`."""
    backend = case.backend
    scores = {"accuracy": accuracy, "nmi": nmi, "ari": 0.7, "purity": accuracy}
    common = {
        "case": vars(case) | {"settings": dict(case.settings)},
        "status": "done",
        "n_samples": 1_797,
        "n_features": 64,
        "threads": 2,
        "cpu_seconds": 30.0,
        "scores": scores if case.algorithm != "autoencoder" else {},
        "python": "3.11.7",
        "tensorflow": "2.14.1" if case.needs_tff else "2.21.0",
        "machine": "Linux x86_64, Made-up <Processor> & sons",
        "git": "0123abc",
    }
    if backend in (CENTRALIZED, LOCAL_ONLY):
        apart = {"import": 2.0, "data": 0.5, "training": 9.0, "total": 11.5}
        memory = {"peak_mb": 600, "mb_per_minute": 0.0, "readings": [[0.0, 500], [9.0, 600]]}
        return {**common, "seconds": apart, "memory": memory, **changed}
    warm = round(seconds * FACTOR[backend], 5)
    rounds = {"pretrain": [1.0, *[warm] * 10], "cluster": [0.5, *[warm] * 10]}
    apart = {
        "import": 3.0,
        "data": 0.5,
        "backend_start": START[backend],
        "first_rounds": 1.5,
        "warm_rounds": 20 * warm,
        "evaluation": 0.4,
        "checkpoint": 0.2,
    }
    spread = {"q1": warm, "median": warm, "q3": warm, "n": 10}
    peak = {"local": 700, "flower": 2_000, LOCAL_TFF: 600, "tff": 1_000}[backend]
    return {
        **common,
        "start_hash": f"{case.settings.get('generator', '')}{case.seed:016x}",
        "end_hash": "tff's own" if backend == "tff" else f"end {case.seed}",
        "seconds": {**apart, "total": sum(apart.values())},
        "rounds": rounds,
        "warm": dict.fromkeys(rounds, spread),
        "memory": {
            "peak_mb": peak,
            "mb_per_minute": 1.5,
            "readings": [[10 * t, peak - 100 / (1 + t)] for t in range(10)],
        },
        "bytes": dict(BYTES),
        "curve": [
            {
                "phase": "cluster",
                "round": r,
                "seconds": 2 + r * warm,
                "accuracy": accuracy - 0.1 / r,
                "nmi": nmi - 0.1 / r,
            }
            for r in (1, 5, 9)
        ],
        **changed,
    }


def failure(case, error="Traceback (most recent call last):\n  ...\nRuntimeError: <it> & that\n"):
    """Returns the line of a failed run."""
    return {
        "case": vars(case) | {"settings": dict(case.settings)},
        "status": "failed",
        "error": error,
    }


def _cases(suite, n_seeds):
    for stage in SUITES[suite].stages:
        yield from stage(range(n_seeds), lambda _: 0.0)


def digits(n_seeds=3, flower=0.0, tff=0.0):
    """Returns the suite "digits"; accuracies differ by `flower` and `tff` in every other seed."""
    off = {"flower": flower, "tff": tff}
    return [
        line(c, 0.8 + 0.01 * c.seed + off.get(c.backend, 0.0) * (c.seed % 2), 0.7 + 0.01 * c.seed)
        for c in _cases("digits", n_seeds)
    ]


def scaling():
    """Returns rounds of 0.02 + 0.01 s per client, or 0.05 + 0.002 s per step, times `FACTOR`."""
    found = []
    for case in _cases("scaling", 1):
        kind = case.procedure.partition("=")[0]
        steps = case.settings.get("pretraining.steps", 1)
        seconds = 0.02 + 0.01 * case.n_clients if kind == "clients" else 0.05 + 0.002 * steps
        found.append(line(case, seconds=seconds))
    return found


def heterogeneity(n_seeds=3):
    """Returns federated scores 0.1 above local only and 0.02 below centralized."""
    off = {"local": 0.0, LOCAL_ONLY: -0.1, CENTRALIZED: 0.02}
    skew = {"iid": 0.0, "dirichlet 1": 0.02, "dirichlet 0.3": 0.05, "dirichlet 0.1": 0.1}
    found = []
    for case in _cases("heterogeneity", n_seeds):
        value = 0.8 + off[case.backend] - skew.get(case.partition, 0.15) + 0.01 * case.seed
        value -= 0.05 * (case.procedure == "generator server")
        found.append(line(case, value, value - 0.05))
    return found


GAIN = {"fedadam": 0.03, "centroids random": -0.05}
"""NMI difference of a procedure to its reference; all others differ only by noise."""


def aggregation(n_seeds=10):
    """Returns lines in which two procedures differ, by `GAIN`."""
    found = []
    for i, case in enumerate(_cases("aggregation", n_seeds)):
        noise = ((i * 7919 + case.seed * 104_729) % 101 - 50) / 10_000
        noise *= case.procedure not in ("fedavg, lloyd, global", "fedavg")
        found.append(line(case, 0.8, 0.75 + GAIN.get(case.procedure, 0.0) + noise))
    return found


def everything():
    """Returns all suites, with two failures."""
    some = digits()
    some[5] = failure(Case(**some[5]["case"]))
    rule = Case("dec", procedure=next(iter(TRIED)), backend="flower", seed=1)
    return {
        "digits": some,
        "scaling": scaling(),
        "heterogeneity": heterogeneity(),
        "aggregation": [*aggregation(), failure(rule, "")],
    }
