"""The named data sets: their records, and the real ones where they are at hand."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from tfcluster.data import downloads
from tfcluster.data.catalog import needs_scaling
from tfcluster.data.loading import DATASETS, Picture, load_data, load_groups

FOLDER = os.environ.get("TFCLUSTER_DATA")
real = pytest.mark.skipif(not FOLDER, reason="TFCLUSTER_DATA names no folder of data sets")


def test_the_records_agree_with_themselves() -> None:
    for name, info in DATASETS.items():
        assert info.name == name and info.description and info.source and info.license
        assert (info.file is None) == (info.layout == "")
        assert info.fetch or info.file
        assert (info.validation is None) == (info.fit is None) and hash(info)
        if info.picture:
            assert len(info.picture.feature_names) == info.n_features
    with pytest.raises(TypeError):
        DATASETS["mine"] = DATASETS["digits"]  # type: ignore[index]
    with pytest.raises(dataclasses.FrozenInstanceError):
        DATASETS["digits"].n_samples = 1  # type: ignore[misc]


def test_two_sets_are_scaled_by_statistics_of_their_samples() -> None:
    assert {name for name in DATASETS if needs_scaling(name)} == {"heart_disease", "mice_protein"}


def test_digits() -> None:
    data = load_data("digits")
    X, y, picture = data
    names, units = data.feature_names, data.units
    assert X.shape == (1797, 64) and X.dtype == np.float32 and X.flags.c_contiguous
    assert (X.min(), X.max()) == (0, 1) and picture == Picture("image", (8, 8))
    assert y is not None and y[:10].tolist() == list(range(10)) and y.dtype == np.int64
    assert names[0] == "pixel_0_0" and names[-1] == "pixel_7_7" and len(names) == 64
    assert units is not None and units.sd.tolist() == [16] * 64 and not units.mean.any()


# The real data sets, where they are at hand.


@real
@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "fashion5", "pendigits"])
def test_pictures_are_scaled_and_in_the_original_order(name: str) -> None:
    info = DATASETS[name]
    X, y, picture, *_ = load_data(name)
    assert X.shape == (info.n_samples, info.n_features) and X.dtype == np.float32
    assert X.flags.c_contiguous and y is not None and y.dtype == np.int64
    assert X.min() == 0 and X.max() == 1 and picture == info.picture
    assert np.unique(y).tolist() == list(range(info.n_classes))
    with np.load(Path(str(FOLDER)) / str(info.file)) as raw:
        top = 100 if name == "pendigits" else 255
        for split, part in (
            (slice(info.n_train), "x_train"),
            (slice(info.n_train, None), "x_test"),
        ):
            original = raw[part].reshape(len(raw[part]), -1)
            np.testing.assert_array_equal(np.rint(X[split] * top).astype(np.uint8), original)
        if name != "fashion5":
            np.testing.assert_array_equal(y, np.concatenate([raw["y_train"], raw["y_test"]]))


@real
def test_mnist_is_bit_for_bit_the_published_data() -> None:
    X, y, *_ = load_data("mnist", "test")
    assert y is not None
    body = np.rint(X * 255).astype(np.uint8).tobytes()
    images = bytes.fromhex("00000803000027100000001c0000001c") + body
    labels = bytes.fromhex("0000080100002710") + y.astype(np.uint8).tobytes()
    known = "2646ac647ad5339dbf082846283269ea", "27ae3e4e09519cfbb04c329615203637"
    assert tuple(hashlib.md5(idx).hexdigest() for idx in (images, labels)) == known


@real
@pytest.mark.parametrize("name", ["mnist", "pendigits"])
def test_train_and_test_are_the_two_ends_of_all(name: str) -> None:
    whole, train, test = (load_data(name, split) for split in ("all", "train", "test"))
    assert len(train.X) == DATASETS[name].n_train
    np.testing.assert_array_equal(whole.X, np.concatenate([train.X, test.X]))
    assert whole.y is not None and train.y is not None and test.y is not None
    np.testing.assert_array_equal(whole.y, np.concatenate([train.y, test.y]))


@real
@pytest.mark.parametrize(
    ("name", "validation", "fit"),
    [
        ("mnist", slice(5_000), slice(5_000, None)),
        ("fashion_mnist", slice(5_000), slice(5_000, None)),
        ("fashion5", slice(5_000), slice(5_000, None)),
        ("pendigits", slice(-1_000, None), slice(None)),
    ],
)
def test_validation_and_fit_are_samples_of_train(name: str, validation: slice, fit: slice) -> None:
    train = load_data(name, "train")
    for split, part in (("validation", validation), ("fit", fit)):
        X, y, picture, *_ = load_data(name, split)
        np.testing.assert_array_equal(X, train.X[part])
        assert y is not None and train.y is not None and picture == train.picture
        np.testing.assert_array_equal(y, train.y[part])


@real
def test_fit_begins_as_the_train_samples_of_tensorflow_1() -> None:
    # mnist.train.labels[:10] of TensorFlow 1, as tutorials print them.
    y = load_data("mnist", "fit").y
    assert y is not None and len(y) == 55_000
    assert y[:10].tolist() == [7, 3, 4, 6, 1, 8, 1, 0, 9, 8]


@real
def test_class_sizes_are_the_published_ones() -> None:
    sizes = {
        ("pendigits", "train"): downloads.PENDIGITS_TRAIN_COUNTS,
        ("pendigits", "test"): downloads.PENDIGITS_TEST_COUNTS,
        ("fashion_mnist", "train"): (6000,) * 10,
        ("fashion_mnist", "test"): (1000,) * 10,
        ("fashion5", "all"): (14000, 7000, 21000, 21000, 7000),
        ("heart_disease", "all"): (411, 265, 109, 107, 28),
        ("mice_protein", "all"): downloads.MICE_COUNTS,
    }
    for (name, split), expected in sizes.items():
        y = load_data(name, split).y
        assert y is not None and np.bincount(y).tolist() == list(expected), name


@real
@pytest.mark.parametrize("name", ["heart_disease", "mice_protein"])
def test_tables_are_filled_and_standardized(name: str) -> None:
    info = DATASETS[name]
    whole = load_data(name)
    X, y, picture, *_ = whole
    assert X.shape == (info.n_samples, info.n_features) and X.dtype == np.float32
    assert X.flags.c_contiguous and picture is None and y is not None and y.dtype == np.int64
    np.testing.assert_allclose(X.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(X.std(axis=0), 1, atol=1e-5)
    with np.load(Path(str(FOLDER)) / str(info.file)) as raw:
        missing = np.isnan(raw["x"])
        as_in_the_file = load_data(name, standardize=False)
        np.testing.assert_array_equal(as_in_the_file.X, raw["x"].astype(np.float32))
        np.testing.assert_array_equal(as_in_the_file.y, y)
        assert whole.feature_names == tuple(raw["feature_names"]) and whole.units is not None
        back = whole.X * whole.units.sd + whole.units.mean
        np.testing.assert_allclose(back[~missing], raw["x"][~missing], rtol=1e-4, atol=1e-4)
        assert as_in_the_file.units is None
    # The mean, which is what a missing value becomes, is then 0.
    assert missing.sum() == {"heart_disease": 1759, "mice_protein": 1396}[name]
    np.testing.assert_allclose(X[missing], 0, atol=1e-5)


@real
def test_writers_are_aligned_with_the_digits_they_wrote() -> None:
    train, test = load_groups("mnist", "train"), load_groups("mnist", "test")
    assert (len(train), len(test)) == (60_000, 10_000) and train.dtype == np.int64
    assert (len(np.unique(train)), len(np.unique(test))) == (539, 297)
    assert not np.intersect1d(train, test).size
    np.testing.assert_array_equal(load_groups("mnist"), np.concatenate([train, test]))
    parts = [load_groups("mnist", split) for split in ("validation", "fit")]
    np.testing.assert_array_equal(train, np.concatenate(parts))
    assert np.unique(train, return_counts=True)[1].max() == 131


@real
def test_hospitals_and_mice_are_aligned_with_their_samples() -> None:
    sites, y = load_groups("heart_disease"), load_data("heart_disease").y
    assert np.bincount(sites).tolist() == [303, 294, 123, 200] and y is not None
    by_site = [np.bincount(y[sites == site], minlength=5).tolist() for site in range(4)]
    assert by_site[0] == [164, 55, 36, 35, 13] and by_site[1] == [188, 106, 0, 0, 0]
    assert by_site[2] == [8, 48, 32, 30, 5] and by_site[3] == [51, 56, 41, 42, 10]
    mice, classes = load_groups("mice_protein"), load_data("mice_protein").y
    assert np.bincount(mice).tolist() == [15] * 72 and classes is not None
    assert all(len(np.unique(classes[mice == mouse])) == 1 for mouse in range(72))
