"""Units of a file's features: what is standardized, and what the model keeps of it."""

import io

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from sklearn.base import clone

from federated.cli.federate_dec import federate_dec
from federated.cli.options import FederatedDECOptions, FederateExecution
from tests.tfcluster.helpers import blobs
from tfcluster import DEC, InputError, load_data
from tfcluster.cli.options import DECExecution, DECOptions, GANExecution, GANOptions
from tfcluster.cli.predict import predict_file
from tfcluster.cli.train_clustergan import train_clustergan
from tfcluster.cli.train_dec import train_dec
from tfcluster.scaling import Standardizer

MODEL = {"dims": (8, 3), "kmeans_restarts": 2}
SMALL = {**MODEL, "pretraining.epochs": 3, "max_steps": 40}
FEDERATED = {**{f"model.{name}": value for name, value in MODEL.items()}, "lloyd_rounds": 3}
GAN = {"steps": 20, "batch_size": 16, "critic_steps": 1}


def patients(n: int = 90) -> np.ndarray:
    """Features in units far from each other, of which the last one does not matter."""
    x, _ = blobs(n)
    x[:, 5] = np.random.default_rng(1).random(n)
    return x * [90, 300, 1, 40, 5, 1e5]


def write_table(path, x) -> None:
    cells = [["" if np.isnan(value) else repr(float(value)) for value in row] for row in x]
    lines = [",".join(row) for row in [["age", "chol", "fbs", "bmi", "k", "income"], *cells]]
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture(autouse=True)
def _keep_threads(monkeypatch):
    """TensorFlow's threads can be set once in a process, and that of the tests runs already."""
    for module in (
        "tfcluster.cli.train_dec",
        "tfcluster.cli.train_clustergan",
        "federated.cli.run",
    ):
        monkeypatch.setattr(f"{module}.set_threads", lambda *_, **__: None)


@pytest.fixture
def table(tmp_path):
    """A file with two missing values, and its samples."""
    x = patients()
    x[3, 1] = x[7, 4] = np.nan
    write_table(tmp_path / "patients.csv", x)
    return str(tmp_path / "patients.csv"), x


def train(path, tmp_path, out="run", **options):
    printed = Console(file=io.StringIO(), width=200)
    options = {"n_clusters": "3", "overrides": SMALL, **options}
    train_dec(
        DECOptions(str(path), **options),
        DECExecution(tmp_path / out, pictures=False),
        console=printed,
    )
    return tmp_path / out, printed.file.getvalue()


def federate(path, tmp_path, out="run", **options):
    printed = Console(file=io.StringIO(), width=200)
    options = {"n_clusters": "3", "overrides": FEDERATED, **options}
    options |= {"pretrain_rounds": 3, "rounds": 4, "local_steps": 2}
    asked = FederatedDECOptions(str(path), **options)
    federate_dec(asked, FederateExecution(tmp_path / out, pictures=False), console=printed)
    return tmp_path / out, printed.file.getvalue()


def labels_in(text: str) -> np.ndarray:
    return np.array([int(line.split(",")[1]) for line in text.splitlines()[1:]])


# Tables.


def test_a_table_is_standardized_and_its_missing_values_filled(table, tmp_path):
    path, x = table
    run, printed = train(path, tmp_path)
    dec = DEC.load(run / "model.npz")
    for found, expected in zip(dec.standardizer_, Standardizer.fit(x), strict=True):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(clone(dec).fit(x).labels_, dec.labels_)
    assert predict_file(run, path) == (run / "labels.csv").read_text()
    named = pd.DataFrame(x, columns=dec.feature_names_in_)
    np.testing.assert_array_equal(dec.predict(named), dec.labels_)
    assert "income" in printed and ", and 2 missing values become the mean" in printed
    # in the original units
    profile = (run / "profile.csv").read_text()
    ages = {float(line.split(",")[3]) for line in profile.splitlines()[1:] if ",age," in line}
    expected = [x[dec.labels_ == k, 0].mean() for k in range(3)]
    np.testing.assert_allclose(sorted(ages), sorted(expected), rtol=1e-5)


def test_a_federated_table_is_standardized_without_a_missing_value(tmp_path):
    x = patients()
    folder = tmp_path / "clinics"
    folder.mkdir()
    for name, rows in (("a", x[:40]), ("b", x[40:])):
        write_table(folder / f"{name}.csv", rows)
    run, printed = federate(folder, tmp_path)
    assert "mean 0 and standard deviation 1 (--standardize)" in printed
    dec = DEC.load(run / "model.npz")
    np.testing.assert_allclose(dec.standardizer_.mean, x.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(dec.standardizer_.sd, x.std(axis=0), rtol=1e-9)


@pytest.mark.parametrize("start", [train, federate])
def test_no_standardization_on_request(start, tmp_path):
    x = patients()
    write_table(tmp_path / "whole.csv", x)
    run, _ = start(tmp_path / "whole.csv", tmp_path, standardize=False)
    assert DEC.load(run / "model.npz").standardizer_ is None
    x[0, 0] = np.nan
    write_table(tmp_path / "gap.csv", x)
    with pytest.raises(InputError, match=r"NaN|finite"):
        start(tmp_path / "gap.csv", tmp_path, "other", standardize=False)
    assert not (tmp_path / "other").exists()


def test_a_matrix_without_names_is_standardized_on_request(tmp_path):
    x = patients()
    np.save(tmp_path / "x.npy", x)
    run, _ = train(tmp_path / "x.npy", tmp_path)
    assert DEC.load(run / "model.npz").standardizer_ is None
    run, _ = train(tmp_path / "x.npy", tmp_path, "standardized", standardize=True)
    assert DEC.load(run / "model.npz").standardizer_ is not None


def test_clustergan_standardizes_a_table(table, tmp_path):
    path, _ = table
    options = GANOptions(path, n_clusters="3", overrides=GAN)
    printed = Console(file=io.StringIO(), width=200)
    train_clustergan(options, GANExecution(tmp_path / "run"), console=printed)
    assert predict_file(tmp_path / "run", path) == (tmp_path / "run" / "labels.csv").read_text()
    options = GANOptions(path, preset="pendigits", n_clusters="3", overrides=GAN)
    with pytest.raises(InputError, match=r"must be in \[0, 1\]"):
        train_clustergan(options, GANExecution(tmp_path / "other"), console=printed)


def test_which_files_have_units(tmp_path):
    x, _ = blobs()
    np.savez(tmp_path / "named.npz", X=x, feature_names=list("abcdef"))
    np.savez(tmp_path / "plain.npz", X=x)
    np.save(tmp_path / "images.npy", x.reshape(-1, 2, 3))
    (tmp_path / "plain.csv").write_text("1,2\n3,4\n")
    gap = x.copy()
    gap[0, 0] = np.nan
    np.save(tmp_path / "gap.npy", gap)
    names = ("named.npz", "plain.npz", "images.npy", "plain.csv", "gap.npy")
    found = [load_data(tmp_path / name).has_units for name in names]
    assert found == [True, False, False, True, True]
    assert not load_data("digits").has_units


# Pixels.


@pytest.fixture
def pixels():
    x, _ = blobs(90, 64)
    return np.rint(x * 255).astype(np.uint8).reshape(-1, 8, 8)


@pytest.mark.parametrize("start", [train, federate])
def test_the_factor_of_pixels_belongs_to_the_model(start, pixels, tmp_path):
    """The same pixels in any type get the labels of the run."""
    np.save(tmp_path / "pixels.npy", pixels)
    run, _ = start(tmp_path / "pixels.npy", tmp_path)
    dec = DEC.load(run / "model.npz")
    flat = pixels.reshape(len(pixels), -1)
    expected = dec.predict(flat)
    if start is train:
        np.testing.assert_array_equal(expected, dec.labels_)
    for dtype in (np.uint8, np.float32, np.float64, np.int64):
        np.save(tmp_path / "again.npy", pixels.astype(dtype))
        table = predict_file(run, str(tmp_path / "again.npy"))
        np.testing.assert_array_equal(labels_in(table), expected)
        if start is train:
            assert table == (run / "labels.csv").read_text()
    with pytest.raises(InputError, match="NaN"):
        dec.predict(np.where(flat == flat[0, 0], np.nan, flat))


def test_clients_with_pixels_in_other_types_are_refused(pixels, tmp_path):
    folder = tmp_path / "clients"
    folder.mkdir()
    np.save(folder / "a.npy", pixels[:45])
    np.save(folder / "b.npy", pixels[45:].astype(np.float32))
    with pytest.raises(InputError, match=r"in bytes, 0 to 255"):
        federate(folder, tmp_path)


def test_units_of_units():
    units, own = (
        Standardizer(np.ones(2), np.full(2, 4.0)),
        Standardizer(np.full(2, 3.0), np.ones(2)),
    )
    x = np.array([[1.0, 5.0], [17.0, 13.0]])
    np.testing.assert_array_equal(own.after(units)(x), own((x - 1) / 4))
    assert own.after(None) is own
