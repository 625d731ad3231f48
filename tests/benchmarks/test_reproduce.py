"""The papers' tables: what is compared, and the runs behind it."""

import json
import shlex
import signal
import subprocess
import sys
import time
import types

import numpy as np
import pytest
import typer
from sklearn.cluster import AgglomerativeClustering, KMeans, SpectralClustering
from sklearn.decomposition import NMF
from typer.testing import CliRunner

from benchmarks import record
from benchmarks.reproduce import baselines, published_tables, row_scripts, table_rows
from benchmarks.reproduce.reproduce_command import reproduce
from benchmarks.reproduce.table_rows import ROWS, Row
from tfcluster.cli import main as cli
from tfcluster.cli import published
from tfcluster.errors import InputError

EMPTY = {"dec": [], "clustergan": [], "baselines": []}
app = typer.Typer()
app.command()(reproduce)


def command(*words):
    return CliRunner().invoke(app, list(map(str, words)))


def result(row, seed, n_clusters=10, **methods):
    scores = {
        name: dict.fromkeys(("accuracy", "purity", "nmi", "ari"), value)
        | {"seconds": 10.0 * (1 + seed)}
        for name, value in methods.items()
    }
    return {
        "algorithm": row.algorithm,
        "dataset": row.dataset,
        "preset": row.preset,
        "overrides": dict(row.overrides),
        "n_clusters": n_clusters,
        "seed": seed,
        "threads": 2,
        "git": "abc",
        "scores": scores,
    }


def line_of(row, runs, method):
    found = {
        texts[0]: texts
        for line in published_tables.list_methods(row, {**EMPTY, row.algorithm: runs})
        for texts in [
            published_tables.format_cells(line, published_tables.KINDS[row.algorithm].scores)
        ]
    }
    return found[method]


def test_every_published_figure_has_a_line():
    shown = [
        (row.algorithm, row.dataset, line.published.scores)
        for row in ROWS.values()
        for line in published_tables.list_methods(row, EMPTY)
    ]
    dec = [s for methods in published.DEC.values() for s in methods.values()]
    gan = [s for kinds in published.CLUSTERGAN.values() for s in kinds.values()]
    assert [scores for *_, scores in shown] == [*dec, *gan]


def test_every_result_is_in_the_tables():
    results = published_tables.read_all()
    for algorithm in published_tables.KINDS:
        shown = [run for row in ROWS.values() for run in row.select_runs(results[algorithm])]
        assert sorted(map(json.dumps, shown)) == sorted(map(json.dumps, results[algorithm]))


def test_mean_deviation_difference_and_best():
    row = ROWS["dec:keras:mnist"]
    runs = [result(row, 0, DEC=0.8), result(row, 1, DEC=0.9)]
    # mean .85, sample deviation .1 / sqrt(2) = .0707; .85 - .912 = -.062
    assert line_of(row, runs, "DEC") == (
        "DEC", ".912 (.830 to .964) / .869 / .856", "DEC-keras, mean of 10",
        ".850 ± .071 / .850 ± .071 / .850 ± .071", ".900 / .900 / .900",
        "-.062 / -.019 / -.006", "2", "15",
    )  # fmt: skip
    assert line_of(row, runs[:1], "DEC")[3:5] == (".800 / .800 / .800", "-")
    assert line_of(row, [], "DEC")[3:] == ("not run", "-", "-", "0", "-")


def test_the_best_of_five_is_compared_with_the_run_of_the_best_validation():
    row = ROWS["clustergan:mnist"]
    runs = [
        {**result(row, 0, ClusterGAN=0.96), "selection": 0.5},
        {**result(row, 1, ClusterGAN=0.94), "selection": 0.7},
    ]
    mean, best = (line_of(row, runs, name) for name in ("ClusterGAN", "ClusterGAN, best"))
    # .95 - .910 and .94 - .95
    assert mean[5].split(" / ")[0] == "+.040"
    assert best[4].split(" / ")[0] == ".940"
    assert best[5].split(" / ")[0] == "-.010"


def test_validation_samples_are_compared_with_the_same_published_figures():
    row = ROWS["clustergan:pendigits"]
    runs = [{**result(row, 0, **{"ClusterGAN": 0.7, "validation samples": 0.8}), "selection": 0.8}]
    # .8 - .764
    assert line_of(row, runs, "validation samples")[5].split(" / ")[0] == "+.036"
    assert line_of(row, runs, "validation samples, best")[1] == ".770 / .730 / .650"


def test_runs_with_other_settings_do_not_belong_to_a_row():
    row = ROWS["dec:keras:mnist"]
    own = result(row, 0, DEC=0.8)
    assert (
        row.select_runs([own])
        == row.select_runs([{**own, "seed": 0, "preset": "keras:mnist"}, own])
        == [own]
    )
    others = {"preset": "paper"}, {"overrides": {"tol": 0.1}}, {"n_clusters": 9}
    for change in (*others, {"dataset": "digits"}, {"algorithm": "clustergan"}):
        assert not row.select_runs([{**own, **change}])
    assert not ROWS["clustergan:mnist:start"].published


def test_rows_without_a_run_say_how_to_get_their_data():
    texts = "\n".join(published_tables.list_not_run(ROWS.values(), EMPTY))
    assert all(f"`{name}`" in texts for name in ROWS)
    assert "cs.stanford.edu/~acoates/stl10 and save it as `stl10.npz`" in texts
    assert "`usps.npz` in `TFCLUSTER_DATA`, or downloaded" in texts


def test_methods_without_a_command_are_listed():
    row = ROWS["dec:paper:mnist"]
    run = result(row, 0, **{"DEC": 0.8, "AE + k-means": 0.7})
    found = published_tables.list_not_run([row], {**EMPTY, "dec": [run]})
    assert found == ["`dec:paper:mnist`, DEC, encoder frozen: no command trains it."]


def test_the_commands_are_current():
    files = {path.name: path.read_text() for path in row_scripts.COMMANDS.glob("*.sh")}
    assert files == row_scripts.make_scripts(published_tables.read_all()), (
        "run: tfcluster reproduce --commands"
    )


def test_commands_train_what_the_row_says(monkeypatch):
    """Typer parses every command into the row's protocol, data, seed and threads."""
    asked = []
    for name in ("dec", "clustergan"):
        module = f"tfcluster.cli.train_{name}"
        __import__(module)
        monkeypatch.setattr(
            sys.modules[module], f"train_{name}", lambda options, *_, **__: asked.append(options)
        )
    for row in ROWS.values():
        run = {**result(row, 4), "note": "a word\nand another", "scores": {"DEC": {"seconds": 7.0}}}
        run["n_clusters"] = table_rows.DATASETS[row.dataset].n_classes
        text = row_scripts.make_scripts({**EMPTY, row.algorithm: [run]})[f"{row.slug}.sh"]
        commands = [line for line in text.splitlines() if line and line[0] != "#"]
        assert len(commands) == 1 and "# 7 s at revision abc." in text and "# a word" in text
        assert CliRunner().invoke(cli.app, shlex.split(commands[0])[1:]).exit_code == 0
        options = asked.pop()
        assert (options.dataset, options.preset) == (row.dataset, row.preset)
        assert (options.seed, options.threads, options.overrides) == (4, 2, row.overrides)
        options.build_config()  # there is such a preset


def test_an_unknown_row():
    outcome = command("dec:keras:minst")
    assert isinstance(outcome.exception, InputError)
    assert "Did you mean 'dec:keras:mnist'?" in str(outcome.exception)


def test_the_tables_in_a_terminal():
    outcome = command()
    assert outcome.exit_code == 0
    for word in (*ROWS, *baselines.BASELINES, ".912", "not run"):
        assert word in outcome.stdout


@pytest.mark.parametrize("method", baselines.BASELINES)
def test_baselines_are_scikit_learns(digits, method):
    X = digits[0][:600]
    labels = baselines.BASELINES[method].predict(X, 5, 3)
    if method == "NMF":
        model = NMF(5, init="nndsvda", random_state=3, max_iter=2_000).fit(X)
        lengths = np.sqrt((model.components_**2).sum(axis=1, keepdims=True))
        expected = (model.transform(X) * lengths.T).argmax(axis=1)
        assert np.mean(labels == expected) > 0.99  # `transform` solves for the shares once more
        return
    model = {
        "k-means": KMeans(5, n_init=20, random_state=3),
        "spectral": SpectralClustering(
            5, affinity="nearest_neighbors", n_neighbors=10, random_state=3
        ),
        "agglomerative": AgglomerativeClustering(5, linkage="ward"),
    }[method]
    np.testing.assert_array_equal(labels, model.fit_predict(X))


def test_missing_baselines():
    small, large = Row("dec", "heart_disease", "keras"), Row("dec", "mnist", "keras")
    found = baselines.list_missing([small, small], 2, [])
    assert [case[2:] for case in found] == [
        ("k-means", 0), ("k-means", 1), ("spectral", 0), ("spectral", 1), ("agglomerative", 0),
    ]  # fmt: skip
    assert {case[2] for case in baselines.list_missing([large], 1, [])} == {"k-means", "NMF"}
    there = dict(zip(("dataset", "split", "method", "seed"), found[0], strict=True))
    assert baselines.list_missing([small], 2, [there]) == found[1:]


@pytest.fixture
def own_results(tmp_path, monkeypatch):
    monkeypatch.setattr(record, "RESULTS", tmp_path / "results")
    return tmp_path / "results"


def test_baselines_are_recorded_once_and_absent_data_is_skipped(own_results, monkeypatch):
    monkeypatch.delenv("TFCLUSTER_DATA", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(own_results))
    for _ in range(2):
        outcome = command("--baselines", "clustergan:digits", "dec:keras:heart_disease")
        assert outcome.exit_code == 0
        assert "heart_disease_4hospitals.npz" in outcome.stdout
    lines = [json.loads(x) for x in (own_results / "baselines.jsonl").read_text().splitlines()]
    assert [line["method"] for line in lines] == list(baselines.BASELINES)
    committed = {line["method"]: line for line in record.read_results("baselines")}
    assert all(line["scores"]["accuracy"] > 0.4 for line in committed.values())


TINY = {  # small, but not done before a signal arrives
    "dims": [8, 3], "pretraining.epochs": 400, "max_steps": 40, "update_interval": 10,
    "kmeans_restarts": 2,
}  # fmt: skip


def test_a_row_is_run_interrupted_resumed_and_recorded(own_results, monkeypatch):
    """Runs end to end by the ordinary command in separate processes."""
    row = Row("dec", "digits", "keras", TINY, "tiny")
    runs = own_results.parent / "runs"
    code = (
        "import sys, types, typer\nfrom pathlib import Path\n"
        "from benchmarks import record\nfrom benchmarks.reproduce import table_rows\n"
        "from benchmarks.reproduce.reproduce_command import reproduce\n"
        f"record.RESULTS = Path({str(own_results)!r})\n"
        f"row = table_rows.Row('dec', 'digits', 'keras', {TINY!r}, 'tiny')\n"
        "table_rows.ROWS = {row.name: row}\n"
        f"sys.argv[1:] = [row.name, '--out', {str(runs)!r}]\n"
        "typer.run(reproduce)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    folder = row.make_path(0, runs)
    limit = time.monotonic() + 120
    while not (folder / "metrics.jsonl").exists() and time.monotonic() < limit:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "--resume" in output
    assert (folder / "checkpoint.npz").exists() and not (folder / "result.json").exists()
    assert not own_results.exists()
    begun = (folder / "config.json").stat().st_mtime_ns

    monkeypatch.setattr(table_rows, "ROWS", types.MappingProxyType({row.name: row}))
    for _ in range(2):  # the second finds it there
        outcome = command(row.name, "--out", runs)
        assert outcome.exit_code == 0, outcome.exception
    (line,) = (own_results / "dec.jsonl").read_text().splitlines()
    assert row.select_runs([json.loads(line)]) and json.loads(line)["steps"] == 40
    assert (folder / "config.json").stat().st_mtime_ns == begun  # it was resumed
