"""`--dry-run`: everything is checked and nothing is trained."""

import sys

import pytest

from tfcluster.cli import main as cli

DEC = [*("train", "dec"), *("--set", "dims=[16,4]"), *("--set", "pretraining.epochs=3")]
GAN = ["train", "clustergan", "--set", "steps=120"]
FEDERATED_DEC = [*("federate", "dec", "--clients", "5", "--rounds", "7", "--pretrain-rounds", "3"),
                 *("--set", "model.dims=[16,4]")]  # fmt: skip
FEDERATED_GAN = ["federate", "clustergan", "--preset", "digits", "--rounds", "4"]


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs a command in an empty folder; returns exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["tfcluster", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert list(tmp_path.iterdir()) == []
        return ended.value.code, *capsys.readouterr()

    return call


# the autoencoder has 64 * 16 + 16 + 16 * 4 + 4 + 4 * 16 + 16 + 16 * 64 + 64 = 2,276 weights
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (DEC, ["1,797 samples of 64 features", "pretrain 24", "cluster, 10 20,000"]),
        ([*DEC, "--n-clusters", "2:3"], ["cluster, 2 20,000", "cluster, 3 20,000"]),
        (
            ["train", "dec", "--preset", "paper", "--set", "dims=[16,4]"],
            ["layers 100,000", "finetune 100,000"],
        ),
        (GAN, ["adversarial 120"]),
        (FEDERATED_DEC, ["client 4", f"pretrain 3 {2 * 4 * 2276 * 5:,}", "cluster, 10 7"]),
        ([*FEDERATED_DEC, "--clients-per-round", "2"], [f"pretrain 3 {2 * 4 * 2276 * 2:,}"]),
        (FEDERATED_GAN, ["adversarial 4", "Travels in all"]),
    ],
)
def test_a_plan(run, words, expected):
    code, output, errors = run(*words, "--dry-run")
    text = " ".join(output.split())
    assert code in (0, None), errors
    assert errors == ""
    for phrase in [*expected, "Arithmetic alone takes about", "nothing was trained or written"]:
        assert phrase in text, text


@pytest.mark.parametrize(
    ("words", "rule"),
    [([*DEC, "--n-clusters", "5000"], "n_clusters=5000"), ([*GAN, "--preset", "mnist"], "28 x 28"),
     ([*FEDERATED_DEC, "--partition", "dirichlet"], "alpha"),
     ([*FEDERATED_GAN, "--partition", "natural"], "groups")],
)  # fmt: skip
def test_what_a_run_refuses_is_refused(run, words, rule):
    code, _, errors = run(*words, "--dry-run")
    assert code == 2
    assert rule in errors
    assert len(errors.splitlines()) == 1


def test_a_convolution_is_counted_at_every_place():
    from tfcluster.cli.dry_run import count_gan_products
    from tfcluster.config import GANConfig

    dense = count_gan_products(64, 10, GANConfig(networks="pendigits", n_noise=5))
    weights, products = dense
    n_biases = weights - products
    assert 0 < n_biases < 0.02 * weights
    weights, products = count_gan_products(784, 10, GANConfig(networks="image"))
    assert products > weights
