import statistics

from benchmarks.tables import README, read_results, results_table, with_results


def result(seed, accuracy):
    scores = {"accuracy": accuracy, "nmi": 0.5, "ari": 0.25, "seconds": 10.0 * seed}
    methods = ("k-means", "AE + k-means", "DEC")
    return {
        "dataset": "mnist",
        "preset": "keras",
        "n_rows": 70_000,
        "overrides": {},
        "seed": seed,
        "scores": dict.fromkeys(methods, scores),
    }


def test_the_readme_is_made_from_the_results():
    text = README.read_text()
    assert with_results(text) == text, "run: python -m benchmarks.tables"


def test_mean_and_deviation():
    # mean of .8 and .9 is .85, sample deviation .1 / sqrt(2) = .0707
    table = results_table([result(1, 0.8), result(2, 0.9)])
    assert (
        "| mnist (70,000) | keras | DEC | .912 / .869 / .856 "
        "| .850 ± .071 / .500 ± .000 / .250 ± .000 | 2 | 15 |" in table
    )


def test_a_changed_protocol_is_a_row_of_its_own_without_a_published_line():
    changed = {**result(2, 0.9), "overrides": {"tol": 0.1}}
    table = results_table([result(1, 0.8), changed])
    assert "| keras | DEC | .912 / .869 / .856 | .800" in table
    assert "| keras, tol=0.1 | DEC | - | .900" in table


def test_one_run_has_no_deviation():
    assert "| .800 / .500 / .250 | 1 | 10 |" in results_table([result(1, 0.8)])


def test_dec_improves_on_its_start_on_digits():
    runs = [r for r in read_results("dec") if r["dataset"] == "digits" and r["preset"] == "keras"]
    assert len({run["seed"] for run in runs}) >= 3
    means = [
        statistics.mean(run["scores"][method]["accuracy"] for run in runs)
        for method in ("AE + k-means", "DEC")
    ]
    assert means[0] < means[1]


def test_mnist_is_within_the_published_range():
    runs = [r for r in read_results("dec") if r["dataset"] == "mnist" and r["preset"] == "keras"]
    assert runs
    for run in runs:
        assert 0.830 <= run["scores"]["DEC"]["accuracy"] <= 0.964
