"""New samples in other units than those of training, and results that mean little."""

import io
import warnings

import numpy as np
import pytest
from rich.console import Console

from federated.estimators.dec import FederatedDEC
from tests.tfcluster.helpers import TINY, blobs
from tfcluster import DEC, load_data
from tfcluster.cli.problems import find_problems, find_problems_of_new
from tfcluster.cli.run_folder import RunFolder
from tfcluster.files import load_arrays, save_arrays
from tfcluster.shift import FarSamplesWarning, Moments, describe_shift


@pytest.mark.parametrize("n", [1, 5, 4096, 9000])
def test_moments_are_numpys(n):
    x = (np.random.default_rng(0).normal(size=(n, 3)) + [0, 1e4, -5]).astype(np.float32)
    found, wide = Moments.of(x), x.astype(np.float64)
    np.testing.assert_allclose(found.mean, wide.mean(axis=0), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(found.sd, wide.std(axis=0), rtol=1e-9)


def test_by_hand():
    # Mean 20 instead of 0 with deviation 1: 20 deviations. 5 % of 2 features are less than one.
    training = Moments(np.array([0.0, 3.0]), np.array([1.0, 2.0]))
    new = Moments(np.array([20.0, 3.0]), np.array([0.0, 2.0]))
    found = describe_shift(new, training, ["age", "bmi"])
    assert found == (
        "1 of 2 features are far: 'age' has mean 20 and deviation 0, in training 0 and 1"
    )
    assert describe_shift(training, training, ["age", "bmi"]) is None


FACTORS = {"bytes": 255, "digits": 16, "divided": 1 / 255, "a tenth": 1 / 20}


@pytest.mark.parametrize("factor", FACTORS.values(), ids=list(FACTORS))
def test_digits_in_other_units(factor):
    x = Moments.of(load_data("digits").X)
    names = [f"pixel {i}" for i in range(64)]
    assert describe_shift(x, x, names) is None
    found = describe_shift(x.scaled(np.zeros(64), np.full(64, factor)), x, names)
    assert found is not None and "in training" in found


def test_digits_of_one_kind_are_no_other_units():
    """Nor are single samples."""
    x, y, *_ = load_data("digits")
    training = Moments.of(x)
    names = [f"pixel {i}" for i in range(64)]
    for part in [*(x[y == digit] for digit in range(10)), *np.split(x[:200], 200)]:
        assert describe_shift(Moments.of(part), training, names) is None


def fit(**arguments):
    return DEC(3, preset=TINY, random_state=0, **arguments)


@pytest.fixture(scope="module", params=["DEC", "standardized", "federated", "federated raw"])
def model(request):
    x, _ = blobs()
    if request.param == "DEC":
        return fit().fit(x)
    if request.param == "standardized":
        return fit(standardize=True).fit(x)
    federated = FederatedDEC(
        3,
        preset=TINY,
        standardize=request.param == "federated",
        pretrain_rounds=1,
        rounds=1,
        random_state=0,
    )
    return federated.fit([x[:50], x[50:]]).to_dec()


def test_a_model_warns_of_other_units(model, tmp_path):
    x, _ = blobs()
    model.save(tmp_path / "model.npz")
    for each in (model, DEC.load(tmp_path / "model.npz")):
        each.predict(x)  # warnings are errors here
        each.predict(x[:1])
        for method in (each.predict, each.transform, each.soft_assign):
            with pytest.warns(FarSamplesWarning, match=r"feature \d' has mean \d+.* in training"):
                method(255 * x)
        with pytest.warns(FarSamplesWarning, match="in training"):
            each.predict(x / 255)


def test_moments_are_those_of_the_samples(model):
    x, _ = blobs()
    training = model.training_moments_
    if model.standardizer_ is not None:
        training = training.scaled(*model.standardizer_)
    np.testing.assert_allclose(training.mean, x.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(training.sd, x.std(axis=0), rtol=1e-4)


def test_units_of_the_file_are_those_that_are_compared(tmp_path):
    x, _ = blobs()
    data = np.rint(255 * x)
    np.save(tmp_path / "images.npy", data.astype(np.uint8).reshape(-1, 2, 3))
    loaded = load_data(tmp_path / "images.npy")
    fit().fit(loaded.X).save(tmp_path / "model.npz", units=loaded.units)
    dec = DEC.load(tmp_path / "model.npz")
    dec.predict(data)
    for other in (loaded.X, 255 * data):
        with pytest.warns(FarSamplesWarning, match="in training"):
            dec.predict(other)


def test_a_model_without_moments_predicts(tmp_path):
    x, _ = blobs()
    fit().fit(x).save(tmp_path / "model.npz")
    arrays, meta = load_arrays(tmp_path / "model.npz")
    kept = {name: array for name, array in arrays.items() if "moments" not in name}
    assert len(kept) == len(arrays) - 2
    save_arrays(tmp_path / "old.npz", kept, meta)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        DEC.load(tmp_path / "old.npz").predict(255 * x)


# Results.


def test_problems_of_a_result():
    labels, sure, unsure = np.array([0, 0, 2, 2]), np.full(4, 0.9), np.full(4, 0.35)
    assert find_problems(np.arange(4) % 3, sure, 3, {"nmi": 0.0, "n": 3, "name": "x"}) == []
    dead, undefined = find_problems(labels, sure, 3, {"nmi": 1.0, "silhouette": np.nan})
    assert dead == "1 of 3 clusters own no samples."
    assert undefined == "These scores cannot be computed: silhouette."
    (chance,) = find_problems(np.arange(4) % 3, unsure, 3, {})
    assert chance == (
        "The mean confidence of the labels is 0.35; guessing one of 3 clusters has 0.33."
    )


def test_problems_of_new_labels():
    assert find_problems_of_new(np.zeros(29, int), np.full(29, 0.9), 3) == []
    assert find_problems_of_new(np.ones(30, int), np.full(30, 0.9), 3) == [
        "All 30 samples are in cluster 1."
    ]


def test_problems_are_in_the_last_lines(tmp_path):
    run, printed = RunFolder(tmp_path, {}), Console(file=io.StringIO(), width=200)
    with run.announce(printed):
        run.report(["1 of 3 clusters own no samples."])
        printed.print("scores")
    before, warning, place = printed.file.getvalue().splitlines()[-3:]
    assert (before, warning) == ("scores", "Warning: 1 of 3 clusters own no samples.")
    assert place.startswith("Everything is in")
