"""Runs of a comparison: cases, processes, resuming, failures."""

import dataclasses
import json
import sys

import pytest

from benchmarks.compare import compare_command, suites
from benchmarks.compare.cases import BACKENDS, CENTRALIZED, LOCAL_ONLY, Case, parse_case
from benchmarks.compare.result_files import ResultFile, make_path, read_suites
from benchmarks.compare.suite_runner import run_group, run_suite
from benchmarks.compare.suites import SUITES
from tfcluster.cli import main as cli
from tfcluster.errors import InputError

QUICK = {"pretrain_rounds": 1, "lloyd_rounds": 1, "rounds": 3, "model.dims": [16, 10]}
CASE = Case("dec", n_clients=2, settings=QUICK, evaluate_every=1)


def every_case(suite, seeds=(0, 1, 2), score=lambda case: 0.5):
    return [case for stage in suite.stages for case in stage(seeds, score)]


def run(*cases_of_the_same_clients):
    return [line for _, line in run_group(cases_of_the_same_clients, lambda *_: None)]


@pytest.fixture(scope="module")
def local_line():
    return run(CASE)[0]


@pytest.mark.parametrize("suite", SUITES.values(), ids=lambda suite: suite.name)
def test_cases_are_unique(suite):
    keys = [case.key for case in every_case(suite)]
    assert keys
    assert len(set(keys)) == len(keys)
    assert [parse_case(json.loads(key)).key for key in keys] == keys


@pytest.mark.parametrize("name", ["digits", "mnist-writers", "scaling"])
def test_backends_take_turns_on_the_same_work(name):
    """A B C, A B C: a slow period of the machine affects all of them."""
    made = [case for case in every_case(SUITES[name]) if case.backend in BACKENDS]
    n = len(BACKENDS)
    turns = [made[i : i + n] for i in range(0, len(made), n)]
    for turn in turns:
        assert tuple(case.backend for case in turn) == BACKENDS
        assert len({dataclasses.replace(case, backend="").key for case in turn}) == 1


def test_rules_are_tuned_alike_on_separate_seeds():
    tuning, procedures = SUITES["aggregation"].stages
    tried = list(tuning(range(10), lambda case: 0.0))
    counts = {rule: sum(case.procedure == rule for case in tried) for rule in suites.TRIED}
    assert len(set(counts.values())) == 1
    paired = list(procedures(range(10), lambda case: 0.0))
    assert not {case.seed for case in tried} & {case.seed for case in paired}


def test_the_best_value_is_chosen():
    def score(case):
        return -abs(case.settings.get("aggregation.momentum", 0.0) - 0.6)

    assert suites.choose_value("fedavgm", score) == 0.6


def test_a_run_is_split_into_parts(local_line):
    assert local_line["status"] == "done", local_line.get("error")
    parts = ("import", "data", "backend_start", "first_rounds", "warm_rounds", "evaluation")
    assert all(local_line["seconds"][part] > 0 for part in (*parts, "checkpoint"))
    assert sum(local_line["seconds"][part] for part in parts) < local_line["seconds"]["total"]
    assert set(local_line["rounds"]) == {"pretrain", "centroids", "target", "cluster"}
    assert 0 < local_line["scores"]["accuracy"] <= 1
    assert local_line["curve"][-1]["phase"] == "cluster"
    assert local_line["memory"]["peak_mb"] > 100
    assert local_line["cpu_seconds"] > 1


def test_equal_cases_give_equal_weights_after_any_other_case(local_line):
    short = dataclasses.replace(CASE, settings={**QUICK, "rounds": 1})
    first, again = run(short, CASE)
    assert first["end_hash"] != again["end_hash"]
    assert again["end_hash"] == local_line["end_hash"]


def test_local_only_clients_begin_with_the_federated_weights(local_line):
    (line,) = run(dataclasses.replace(CASE, backend=LOCAL_ONLY))
    assert line["status"] == "done", line.get("error")
    assert line["start_hash"] == local_line["start_hash"]
    assert line["scores"].keys() == local_line["scores"].keys()
    assert 0 < line["scores"]["nmi"] <= 1


def test_a_failure_is_recorded_and_the_suite_continues(tmp_path):
    good = dataclasses.replace(CASE, backend=CENTRALIZED)
    broken = dataclasses.replace(good, settings={"no_such_field": 1})
    suite = suites.Suite("x", "", (lambda seeds, score: iter([broken, good]),), is_timed=False)
    results, told = ResultFile(tmp_path / "x.jsonl"), []
    run_suite(suite, [0], results, lambda case, line: told.append(line and line["status"]))
    assert told == [None, "failed", None, "done"]
    assert "no_such_field" in next(iter(results))["error"]
    assert not results.has_finished(broken)
    assert results.get_score(good) > results.get_score(broken)


def test_an_interrupted_suite_continues(tmp_path, local_line):
    path = tmp_path / "x.jsonl"
    case_line = {"case": json.loads(CASE.key), **local_line}
    ResultFile(path).add(CASE, case_line)
    with path.open("a") as file:
        file.write('{"case": {"algori')  # killed while it wrote
    other = dataclasses.replace(CASE, seed=5)
    suite = suites.Suite("x", "", (lambda seeds, score: iter([CASE, other]),))
    begun = []
    run_suite(suite, [0], ResultFile(path), lambda case, line: begun.append(case.seed))
    assert begun == [5, 5]
    first, second = ResultFile(path)
    assert first == case_line
    assert second["case"]["seed"] == 5
    assert second["start_hash"] != first["start_hash"]


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (["compare", "nothing"], "suite"),
        (["compare", "digits", "--jobs", "2"], "compares seconds"),
        (["compare", "digits", "--algorithm", "nothing"], "algorithm"),
        (["compare", "mnist-writers", "--algorithm", "clustergan"], "Suite mnist-writers has no"),
        (["compare", "--report-only", "--out", "nowhere"], "no runs"),
    ],
)
def test_mistakes_are_reported_in_one_line(words, rule, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["tfcluster", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert rule in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda line: line.pop("case"), "no `case`"),
        (lambda line: line["case"].update(colour="red"), "colour"),
    ],
)
def test_a_line_of_an_unknown_case_is_reported(tmp_path, change, reason):
    good = {"case": json.loads(CASE.key), "status": "done"}
    bad = json.loads(json.dumps(good))
    change(bad)
    path = make_path(tmp_path, "digits")
    path.write_text(f"{json.dumps(good)}\n{json.dumps(bad)}\n")
    with pytest.raises(InputError, match=f"line 2 of {path}.*{reason}"):
        read_suites(tmp_path)


def test_names_in_the_help_are_the_suites():
    assert tuple(SUITES) == compare_command._SUITES
