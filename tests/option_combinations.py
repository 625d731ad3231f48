"""Seeded combinations of options of all commands, and what a run of one may do.

A small number of them is part of the tests. For more, and to train some of those that pass:

    python -m tests.option_combinations 1500 --seed 1 --train 20
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import io
import os
import random
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import numpy as np

Words = list[str]
Pools = Mapping[str, Sequence[str]]
"""Values of each option; a flag has none."""

_FLAG: tuple[str, ...] = ()
_TABLE: Pools = {
    "--label-column": ["none", "label"],
    "--drop": ["sex"],
    "--keep": ["age", "bmi"],
    "--missing": ["-999", "-999,unknown"],
    "--header": _FLAG,
    "--separator": [",", "comma"],
    "--decimal": ["."],
    "--thousands": ["'"],
}
_WRONG_TABLE: Pools = {
    "--label-column": ["nothing", ""],
    "--id-column": ["nothing", "label", ""],
    "--group-column": ["sex", "nothing"],
    "--drop": ["nothing", "age,age", '"age', "age,bmi,sex", ","],
    "--keep": ["nothing", '"'],
    "--missing": ["\n", ""],
    "--no-header": _FLAG,
    "--separator": ["", ";", ",,", "nothing", "\x1b"],
    "--decimal": [",", ";", "", "5"],
    "--thousands": [".", "", "1", ",,"],
}

_RUN: Pools = {
    "--n-clusters": ["2", "3", "10"],
    "--seed": ["0", "7", "4294967295"],
    "--threads": ["1", "2"],
    "--standardize": _FLAG,
    "--no-standardize": _FLAG,
    "--out": ["new", "new/deeper", "n\u00e9w", "./new/"],
    "--pictures": _FLAG,
    "--no-pictures": _FLAG,
}
_WRONG_RUN: Pools = {
    **_WRONG_TABLE,
    "--dataset": [
        "nowhere.csv", "digts", "wrong.csv", "empty.csv", "cut.npz", "", ".", "taken",
        "\x1b[31m.csv", "/dev/null", "mixed", "stl10", "~nobody/x.csv", "ragged.csv", "text.csv",
    ],
    "--preset": ["kers", "", "keras:nothing", "\x1b"],
    "--n-clusters": ["1", "0", "x", "5:2", "2:", "-3", "100000", "2:3:4", "1e1", "", "2.0", "nan",
                     "2:99999999999999999999", "9" * 30],
    "--seed": ["-1", "4294967296", "x", "1.5", ""],
    "--threads": ["0", "1000000000", "x", "-2"],
    "--out": ["taken", "points.csv", "points.csv/run", "/proc/nothing", "", "run"],
    "--resume": _FLAG,
    "--config": ["nowhere.toml", "wrong.toml", "binary.toml", "list.json", ".", "types.toml",
                 "null.toml", "other.toml", "points.csv"],
    "--nothing": _FLAG,
    "--\x1b[31mred": _FLAG,
}  # fmt: skip

_DEC_PRESETS = ["keras", "paper", "keras:usps", "keras:mnist", "paper:stl10"]
_DEC_FIELDS = [
    "dims=[16,4]", "dims=(8,)", "max_steps=10", "tol=0.01", "batch_size=32", "alpha=2.0",
    "scaling=rms", "scaling=2", "kmeans_restarts=2", "precision=bfloat16", "update_interval=0",
    "initializer=normal", "remainder=wrap", "target=batch", "reset_optimizer=True",
    "optimizer.learning_rate=0.1", "max_steps=0", "reconstruction_weight=0.5",
]  # fmt: skip
_WRONG_DEC_FIELDS = [
    "dims=[]", "dims=8", "dims=[0]", "dims=[1e3]", "dims=[16,4", "dims=['a']", "dims=[True]",
    "tol=2", "tol=nan", "batch_size=0", "batch_size=1.5", "batch_size=99999999999999999999",
    "nothing=1", "max_steps", "=3", "pretraining=3", "pretraining.epochs=abc", "alpha=nan",
    "alpha=0", "alpha=-1", "scaling=0", "scaling=nothing", "precision=float64", "max_steps=True",
    "optimizer.nothing=1", "optimizer=Adam", "target=local", "max_steps=1e400", "a.b.c.d=1",
    "dims.0=3", "pretraining.epochs.x=1", "max_steps=-1", "alpha=None", "dims=None", "=", "",
    "dims=[999999999,999999999]", "max_steps=(((((", "alpha={}", "kmeans_restarts=0",
]  # fmt: skip
_DEC: Pools = {
    **_RUN,
    "--n-clusters": ["2", "3", "10", "2:4"],
    "--dataset": ["digits", "points.csv", "labeled.csv", "images.npz", "semicolon.csv", "gaps.csv"],
    "--preset": _DEC_PRESETS,
    "--set": _DEC_FIELDS,
    "--checkpoint-seconds": ["0", "5", "1e9"],
    "--config": ["dec.toml", "dec.json"],
}
_WRONG_DEC: Pools = {
    **_WRONG_RUN,
    "--set": _WRONG_DEC_FIELDS,
    "--checkpoint-seconds": ["-1", "x", ""],
    "--pretrained": ["nowhere.h5", "points.csv", "", "."],
    "extra": _FLAG,
}

_GAN_PRESETS = ["auto", "digits", "gene", "pendigits", "10x_73k", "synthetic"]
_GAN_FIELDS = [
    "steps=10", "batch_size=16", "beta_n=5.0", "beta_c=5.0", "critic_steps=2", "n_noise=7",
    "precision=bfloat16", "shuffle=True",
]  # fmt: skip
_WRONG_GAN_FIELDS = [
    "steps=-1", "steps=x", "batch_size=0", "networks=nothing", "networks=image", "n_noise=0",
    "n_noise=1.5", "nothing=1", "precision=float16", "beta_n=nan", "critic_steps=0",
    "optimizer.learning_rate=x", "steps=True", "n_noise=-1", "batch_size=10**9",
]  # fmt: skip
_GAN: Pools = {
    **_RUN,
    "--dataset": ["digits", "points.csv", "labeled.csv", "images.npz", "semicolon.csv", "gaps.csv"],
    "--preset": _GAN_PRESETS,
    "--set": _GAN_FIELDS,
    "--trials": ["1", "2"],
    "--choose-by": ["silhouette"],
    "--probe-every": ["5", "100"],
    "--checkpoint-seconds": ["0", "5"],
    "--config": ["gan.toml"],
}
_WRONG_GAN: Pools = {
    **_WRONG_RUN,
    "--n-clusters": [*_WRONG_RUN["--n-clusters"], "2:4"],
    "--preset": ["keras", "mnist", "nothing", ""],
    "--set": _WRONG_GAN_FIELDS,
    "--trials": ["0", "-1", "x"],
    "--choose-by": ["accuracy", ""],
    "--probe-every": ["0", "x"],
    "--checkpoint-seconds": ["-1", "x"],
}

_FEDERATED: Pools = {
    "--dataset": ["digits", "points.csv", "labeled.csv", "images.npz", "folder", "gaps.csv"],
    "--clients": ["2", "5", "7"],
    "--partition": ["iid", "shards", "one_class", "dirichlet", "quantity"],
    "--clients-per-round": ["1", "2"],
    "--dropout": ["0", "0.3", "0.99"],
    "--aggregation": [
        "fedavg", "fedavgm", "fedadam", "fedyogi", "fedadagrad", "fedprox", "median",
        "trimmed_mean",
    ],
    "--centroids": ["lloyd", "k_fed", "max_min", "double_kmeans", "random", "random_weighted"],
    "--evaluate-every": ["1", "5"],
    "--rounds": ["0", "1", "7"],
    "--backend": ["local", "flower", "tff"],
}  # fmt: skip
_WRONG_FEDERATED: Pools = {
    "--clients": ["0", "-1", "x", "100000", ""],
    "--partition": ["natural", "nothing", ""],
    "--alpha": ["0", "-1", "nan", "inf", "x"],
    "--per-client": ["0", "x", "100000"],
    "--clients-per-round": ["0", "100", "x"],
    "--dropout": ["-0.1", "1", "nan", "x"],
    "--aggregation": ["nothing", ""],
    "--centroids": ["nothing"],
    "--evaluate-every": ["0"],
    "--rounds": ["-1", "x", "1.5"],
    "--backend": ["nothing", ""],
    "--num-gpus": ["-1", "nan", "x", "1"],
    "--insecure-worker": _FLAG,
    "--group-column": ["sex", "nothing"],
}
_FEDERATED_DEC: Pools = {
    **_RUN,
    **_FEDERATED,
    "--n-clusters": ["2", "3", "10", "2:4"],
    "--preset": _DEC_PRESETS,
    "--set": [
        "model.dims=[16,4]", "model.tol=0.01", "rounds_per_update=2", "lloyd_rounds=3",
        "aggregation.learning_rate=0.5", "model.batch_size=32", "model.pretraining.epochs=3",
        "pretraining.batch_size=16",
    ],
    "--target": ["global", "local", "batch"],
    "--pretrain-rounds": ["0", "1", "3"],
    "--local-epochs": ["1", "2"],
    "--local-steps": ["1", "5"],
    "--config": ["federated.toml"],
}  # fmt: skip
_WRONG_FEDERATED_DEC: Pools = {
    **_WRONG_RUN,
    **_WRONG_FEDERATED,
    "--set": [
        *(f"model.{field}" for field in _WRONG_DEC_FIELDS), *_WRONG_DEC_FIELDS,
        "aggregation.momentum=x", "aggregation.nothing=1", "rounds_per_update=0",
        "lloyd_rounds=-1", "client_centroids=0", "aggregation=3",
    ],
    "--target": ["nothing"],
    "--pretrain-rounds": ["-1", "x"],
    "--local-epochs": ["0"],
    "--local-steps": ["0", "x"],
    "--checkpoint-seconds": ["5"],
}  # fmt: skip
_FEDERATED_GAN: Pools = {
    **_RUN,
    **_FEDERATED,
    "--preset": _GAN_PRESETS,
    "--set": [*(f"model.{field}" for field in _GAN_FIELDS[1:]), "lloyd_rounds=3"],
    "--generator": ["clients", "server"],
    "--iterations": ["1", "5"],
    "--carry-optimizer": _FLAG,
    "--config": ["federated_gan.toml"],
}
_WRONG_FEDERATED_GAN: Pools = {
    **_WRONG_GAN,
    **_WRONG_FEDERATED,
    "--set": [
        *(f"model.{field}" for field in _WRONG_GAN_FIELDS), *_WRONG_GAN_FIELDS, "work.iterations=0",
    ],
    "--generator": ["nothing"],
    "--iterations": ["0", "x"],
    "--trials": ["2"],
}  # fmt: skip


class Command(NamedTuple):
    """A command and its options.

    Attributes:
      words: Its name.
      right: Values that may pass together.
      wrong: Values that are refused in most combinations.
      arguments: For each argument, values that may pass and values that are refused.
      is_dry: Whether it has `--dry-run`; the options of other ones end in their help, or are wrong,
        so that nothing is run.
      weight: How often it is chosen.
    """

    words: tuple[str, ...]
    right: Pools
    wrong: Pools
    arguments: tuple[tuple[Sequence[str], Sequence[str]], ...] = ()
    is_dry: bool = True
    weight: int = 10


COMMANDS = (
    Command(("train", "dec"), _DEC, _WRONG_DEC),
    Command(("train", "clustergan"), _GAN, _WRONG_GAN, weight=5),
    Command(("federate", "dec"), _FEDERATED_DEC, _WRONG_FEDERATED_DEC),
    Command(("federate", "clustergan"), _FEDERATED_GAN, _WRONG_FEDERATED_GAN, weight=5),
    Command(
        ("predict",),
        {**_TABLE, "--out": ["labels.csv"]},
        {**_WRONG_TABLE, "--out": ["taken", "points.csv/x", "", "/proc/nothing"]},
        (
            (["run"], ["taken", "nowhere", "points.csv", ""]),
            (
                ["points.csv", "labeled.csv", "reordered.csv", "gaps.csv"],
                ["wrong.csv", "nowhere.csv", "digits", "images.npz", "folder", "text.csv", ""],
            ),
        ),
        is_dry=False,
        weight=5,
    ),
    *(
        Command(words, {"-h": _FLAG, "--help": _FLAG}, wrong, is_dry=False, weight=1)
        for words, wrong in (
            (("datasets",), {"extra": _FLAG, "--nothing": _FLAG}),
            (("presets",), {"extra": _FLAG, "--nothing": _FLAG}),
            (("train",), {"\x1b[31mred": _FLAG, "--nothing": _FLAG}),
            (("federate",), {"nothing": _FLAG, "--nothing": _FLAG}),
            (
                ("compare", "--report-only"),
                {"--algorithm": ["nothing", "dec"], "--seeds": ["0"], "nothing": _FLAG},
            ),
            (("reproduce",), {"nothing": _FLAG, "--seeds": ["0", "x"]}),
            (("bench",), {"nothing": _FLAG, "--rounds": ["0", "x"]}),
        )
    ),
)


class Combination(NamedTuple):
    """Options that were drawn, and whether only from values that may pass."""

    words: Words
    is_right: bool


def draw(rng: random.Random) -> Combination:
    """Draws a command and options."""
    [command] = rng.choices(COMMANDS, [command.weight for command in COMMANDS])
    is_right = rng.random() < 0.55
    words = [*command.words]
    for right, wrong in command.arguments:
        words.append(rng.choice(right if is_right or rng.random() < 0.7 else wrong))
    if command.is_dry:
        words += _draw_right(rng, command)
    elif is_right:
        words += _draw_options(rng, command.right, 1)
    if not is_right:
        words += _draw_options(rng, command.wrong, rng.choice([1, 1, 1, 2]))
    return Combination([*words, *["--dry-run"] * command.is_dry], is_right)


def _draw_right(rng: random.Random, command: Command) -> Words:
    """Draws options of a dry command, and those that they need, so that most of them pass."""
    dataset = rng.choice(command.right["--dataset"])
    others = {name: values for name, values in command.right.items() if name != "--dataset"}
    words = ["--dataset", dataset, *_draw_options(rng, others, rng.randint(0, 6))]
    if dataset not in ("digits", "labeled.csv", "images.npz") and "--n-clusters" not in words:
        words += ["--n-clusters", rng.choice(["2", "3"])]
    if dataset.endswith(".csv"):
        words += _draw_options(rng, _TABLE, rng.choice([0, 0, 1]))
    for partition, option, values in (
        ("dirichlet", "--alpha", ["0.5", "10"]),
        ("quantity", "--alpha", ["1", "5"]),
        ("shards", "--per-client", ["1", "2"]),
    ):
        if partition in words:
            words += [option, rng.choice(values)]
    return words


def _draw_options(rng: random.Random, pools: Pools, n: int) -> Words:
    words: Words = []
    for name in rng.sample([*pools], n):
        words += [name, rng.choice(pools[name])] if pools[name] else [name]
    return words


class Outcome(NamedTuple):
    """What a command did."""

    code: object
    output: str
    errors: str
    raised: str
    written: list[str]


@contextlib.contextmanager
def _quiet_warnings() -> Iterator[None]:
    with warnings.catch_warnings():  # restores `showwarning`, which `main` replaces
        warnings.simplefilter("default")
        yield


def run(words: Words, folder: Path) -> Outcome:
    """Runs a command in this process, in a folder."""
    from tfcluster.cli import main as cli

    before, output, errors, raised = list_files(folder), io.StringIO(), io.StringIO(), ""
    code: object = None
    with (
        contextlib.chdir(folder),
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(errors),
        mock.patch.object(sys, "argv", ["tfcluster", *words]),
        mock.patch.object(cli, "add_installed_commands", _add_commands_once),
        mock.patch("tfcluster.cli.dry_run.measure_products", return_value=1e10),
        _quiet_warnings(),
    ):
        try:
            cli.main()
        except SystemExit as end:
            code = end.code or 0
        except BaseException:
            raised = traceback.format_exc()
    after = list_files(folder)
    written = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
    return Outcome(code, output.getvalue(), errors.getvalue(), raised, written)


def _add_commands_once() -> None:
    from tfcluster.cli import main as cli

    if not any(group.name == "federate" for group in cli.app.registered_groups):
        _ADD_COMMANDS()


def _find_add_commands() -> Callable[[], None]:
    from tfcluster.cli import main as cli

    return cli.add_installed_commands


_ADD_COMMANDS = _find_add_commands()


def list_files(folder: Path) -> dict[str, tuple[int, int]]:
    """Returns sizes and times of change of everything in a folder."""
    return {
        str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if not path.is_dir() or not any(path.iterdir())
    }


def find_faults(combination: Combination, outcome: Outcome) -> list[str]:
    """Returns what no command may do, in words."""
    faults = ["a traceback"] * bool(outcome.raised or "Traceback" in outcome.errors)
    if not outcome.raised and outcome.code not in (0, 2):
        faults.append(f"the exit code {outcome.code}")
    is_predict, is_right = combination.words[0] == "predict", outcome.code == 0
    if outcome.written and not (is_predict and is_right and outcome.written == ["labels.csv"]):
        faults.append(f"written: {outcome.written}")
    n_messages = sum(map(outcome.errors.count, ("Error: ", "─ Error ─")))
    if outcome.code == 2 and n_messages != 1:
        faults.append(f"{n_messages} messages")
    if outcome.code == 2 and "Error: " in outcome.errors and outcome.errors.count("Error: ") == 1:
        lines = [line for line in outcome.errors.splitlines() if line.startswith("Error: ")]
        if outcome.errors.splitlines()[-1:] != lines:
            faults.append("a message of several lines")
    if "\x1b" in outcome.errors + outcome.output:
        faults.append("an escape character")
    if outcome.code == 0 and "Error" in outcome.errors:
        faults.append("an error and exit code 0")
    return faults


_TOML = {
    "dec.toml": "seed = 3\nn_clusters = 4\n[overrides]\ndims = [8, 3]\npretraining.epochs = 4\n",
    "gan.toml": "n_clusters = 3\ntrials = 2\n[overrides]\nsteps = 20\n",
    "federated.toml": "n_clusters = 3\nrounds = 3\n[overrides.model]\ndims = [8, 3]\n",
    "federated_gan.toml": 'n_clusters = 3\nrounds = 3\ngenerator = "server"\n',
    "wrong.toml": "seed = = 3\n",
    "types.toml": 'seed = "three"\n[overrides]\ndims = [8, 3]\n',
    "null.toml": 'dataset = "a\\u0000.csv"\n',
    "other.toml": 'algorithm = "nothing"\n',
    "list.json": "[1, 2]\n",
    "dec.json": '{"algorithm": "dec", "n_clusters": "3", "overrides": {"dims": [8, 3]}}\n',
}


def write_files(folder: Path) -> None:
    """Writes the files that combinations name to an empty folder."""
    rng = np.random.default_rng(0)
    X = np.round(rng.normal(size=(90, 3)) + 4 * (np.arange(90) % 3)[:, np.newaxis], 3)
    names = ["age", "bmi", "sex"]
    _write_table(folder / "points.csv", names, X)
    _write_table(folder / "reordered.csv", names[::-1], X[:, ::-1])
    _write_table(folder / "labeled.csv", [*names, "label"], np.c_[X, np.arange(90) % 3])
    (folder / "semicolon.csv").write_text(
        (folder / "points.csv").read_text().replace(",", ";").replace(".", ",")
    )
    gaps = (folder / "points.csv").read_text().splitlines()
    gaps[5] = ",1.5,2"
    (folder / "gaps.csv").write_text("\n".join(gaps) + "\n")
    (folder / "wrong.csv").write_text("age,bmi,sex\n1,2,3\n1,x,3\n")
    (folder / "text.csv").write_text("age,bmi,sex\na,b,c\n")
    (folder / "ragged.csv").write_text("age,bmi\n1,2\n1,2,3\n")
    (folder / "empty.csv").write_text("")
    images = rng.integers(0, 256, (80, 8, 8), np.uint8)
    np.savez(folder / "images.npz", X=images, y=np.arange(80) % 4)
    (folder / "cut.npz").write_bytes((folder / "images.npz").read_bytes()[:900])
    for name in ("folder", "mixed", "taken"):
        (folder / name).mkdir()
    for i, part in enumerate(np.split(X, 3)):
        _write_table(folder / "folder" / f"site{i}.csv", names, part)
        _write_table(folder / "mixed" / f"site{i}.csv", names[: 3 - i // 2], part[:, : 3 - i // 2])
    (folder / "taken" / "thesis.txt").write_text("")
    (folder / "binary.toml").write_bytes(bytes(range(256)))
    for name, text in _TOML.items():
        (folder / name).write_text(text)


def _write_table(path: Path, names: Sequence[str], X: np.ndarray) -> None:
    np.savetxt(path, X, "%g", ",", header=",".join(names), comments="")


def train_small_run(folder: Path) -> None:
    """Makes the folder `run`, a finished run of DEC on `points.csv`."""
    words = ["--n-clusters", "3", "--set", "dims=[8,3]", "--set", "pretraining.epochs=1"]
    result = start([*("train", "dec", "--dataset", "points.csv", "--out", "run"), *words,
                    *("--set", "max_steps=5", "--no-pictures")], folder)  # fmt: skip
    assert result.returncode == 0, result.stderr


def start(words: Words, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs a command in a process of its own, in a folder."""
    command = [sys.executable, "-m", "tfcluster", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder)


_SHORT = {
    ("train", "dec"): (
        *("--set", "max_steps=1", "--set", "dims=[8,3]", "--set", "kmeans_restarts=1"),
        "--no-pictures",
    ),
    ("train", "clustergan"): ("--set", "steps=1", "--no-pictures"),
    ("federate", "dec"): (
        *("--rounds", "1", "--pretrain-rounds", "1", "--local-steps", "1", "--no-pictures"),
        *("--set", "model.dims=[8,3]", "--set", "model.kmeans_restarts=1"),
    ),
    ("federate", "clustergan"): ("--rounds", "1", "--iterations", "1", "--no-pictures"),
}
_SHORT_PRETRAINING = {
    "keras": ("epochs=1",),
    "paper": ("steps_per_layer=1", "finetune_steps=1"),
}


def shorten(words: Words) -> Words:
    """Returns a command that trains for a step or a round what a dry one only checked."""
    command = (words[0], words[1])
    short = [word for word in words if word != "--dry-run"] + [*_SHORT[command]]
    if command == ("train", "dec"):
        preset = words[words.index("--preset") + 1] if "--preset" in words else "keras"
        for field in _SHORT_PRETRAINING[preset.partition(":")[0]]:
            short += ["--set", f"pretraining.{field}"]
    return [*short, "--out", "trained"]


def _train_some(passed: Sequence[Words], n: int, seed: int) -> int:
    """Trains some of the combinations that passed; returns how many failed."""
    wanted = [words for words in passed if words[0] in ("train", "federate") and "tff" not in words]
    wanted = [words for words in wanted if "--dry-run" in words]
    n_failed = 0
    for words in random.Random(seed).sample(wanted, min(n, len(wanted))):
        with tempfile.TemporaryDirectory() as folder:
            write_files(Path(folder))
            result = start(shorten(words), Path(folder))
        n_failed += result.returncode != 0
        print("trained" if result.returncode == 0 else "FAILED", *words, flush=True)
        if result.returncode:
            print(result.returncode, result.stderr[-3000:], flush=True)
    return n_failed


def main() -> None:
    """Runs many combinations and prints what no command may do."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("combinations", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--train", type=int, default=0)
    arguments = parser.parse_args()
    os.environ["COLUMNS"] = "100"
    rng, counts = random.Random(arguments.seed), collections.Counter[str]()
    passed: list[Words] = []
    with tempfile.TemporaryDirectory() as name:
        write_files(Path(name))
        train_small_run(Path(name))
        for _ in range(arguments.combinations):
            combination = draw(rng)
            outcome = run(combination.words, Path(name))
            (Path(name) / "labels.csv").unlink(missing_ok=True)
            faults = find_faults(combination, outcome)
            counts["fault" if faults else f"exit code {outcome.code}"] += 1
            counts[f"{combination.words[0]}: {outcome.code}"] += 1
            if outcome.code == 0:
                passed.append(combination.words)
            if faults:
                print(faults, combination.words, outcome.code, flush=True)
                print(outcome.raised[-1500:], outcome.errors[-1500:], flush=True)
    print(dict(counts))
    n_failed = _train_some(passed, arguments.train, arguments.seed)
    raise SystemExit(bool(counts["fault"] or n_failed))


if __name__ == "__main__":
    main()
