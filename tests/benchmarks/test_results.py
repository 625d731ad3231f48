import statistics

from benchmarks.readme import README, insert_results
from benchmarks.record import read_results


def test_the_readme_is_made_from_the_results():
    text = README.read_text()
    assert insert_results(text) == text, "run: python -m benchmarks.readme"


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


def test_pendigits_at_full_length_is_no_worse_than_published():
    runs = [r for r in read_results("clustergan") if r["dataset"] == "pendigits"]
    assert {run["seed"] for run in runs} >= {0, 1, 2}
    assert all(run["steps"] == 500_000 for run in runs)
    # published .764 +- .012; the authors do not say on which samples
    purities = [run["scores"]["validation samples"]["purity"] for run in runs]
    assert statistics.mean(purities) >= 0.764
    assert max(run["scores"]["ClusterGAN"]["purity"] for run in runs) >= 0.74
