"""The named data sets: what they are, where they come from, and how they are scaled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from tfcluster.data.dataset import Picture, RawData
from tfcluster.data.downloads import (
    fetch_digits,
    fetch_fashion_mnist,
    fetch_mice_protein,
    fetch_mnist,
    fetch_pendigits,
    fetch_reuters10k,
    fetch_usps,
)
from tfcluster.data.synthetic import SYNTHETIC_FEATURES, make_synthetic
from tfcluster.errors import InputError
from tfcluster.scaling import Standardizer

# ClusterGAN's code merges the ten classes of Fashion-MNIST into five of similar looks.
FASHION5_CLASSES = np.array([0, 1, 2, 0, 2, 3, 2, 3, 4, 3])

Scaled = tuple[NDArray[np.float32], Standardizer | None]
"""Scaled features, and what undoes the scaling; see `Dataset.units`."""

Scaling = Callable[[NDArray[np.float32], str], Scaled]
"""Scales float32 features, possibly in place; the text is the data set's name, for errors."""


def _unchanged(X: NDArray[np.float32], _name: str) -> Scaled:
    return X, None


@dataclass(frozen=True)
class DatasetInfo:
    """A named data set: what it is, where it comes from, and how it is scaled.

    Attributes:
      name: The name `load_data` takes.
      description: One line.
      n_samples: Number of samples of the split "all".
      n_features: Number of features, or None if the file decides.
      n_classes: Number of distinct labels.
      source: Publication and page.
      license: As stated by the source.
      n_train: Number of train samples, or None if the set has only the split "all".
      validation: The train samples by which ClusterGAN's authors choose a model; None if they did
        not use the set, or it has only "all".
      fit: The train samples on which they train a model; they may include those of `validation`.
      picture: How a sample is drawn, or None for tables.
      file: Name of the file to look for, or None for a set that needs none.
      layout: The arrays that the file must hold.
      fetch: Makes or downloads the data set if there is no file.
      feature_names: Name of each feature; empty if they stand in the file or follow from `picture`.
      scale: Scales the features.
      relabel: New label for each label.
    """

    name: str
    description: str
    n_samples: int
    n_features: int | None
    n_classes: int
    source: str
    license: str
    n_train: int | None = None
    # Slices have no hash in Python 3.11.
    validation: slice | None = field(default=None, hash=False)
    fit: slice | None = field(default=None, hash=False)
    picture: Picture | None = None
    file: str | None = None
    layout: str = field(default="", repr=False)
    fetch: Callable[[], RawData] | None = field(default=None, repr=False)
    feature_names: tuple[str, ...] = field(default=(), repr=False)
    scale: Scaling = field(default=_unchanged, repr=False)
    relabel: NDArray[np.int64] | None = field(default=None, repr=False, compare=False)

    @property
    def splits(self) -> dict[str, slice]:
        """The splits that `load_data` takes for this set, and the samples of each."""
        splits = list_splits(self.n_train)
        if self.validation is not None and self.fit is not None:
            splits |= {"validation": self.validation, "fit": self.fit}
        return splits


def list_splits(n_train: int | None) -> dict[str, slice]:
    """Returns the splits of a data set, and the samples of each.

    Args:
      n_train: Number of train samples, which come first; None if there is only the split "all".
    """
    splits = {"all": slice(None)}
    if n_train is not None:
        splits |= {"train": slice(n_train), "test": slice(n_train, None)}
    return splits


def _fetch_synthetic() -> RawData:
    data = make_synthetic()
    return RawData(data.X, data.y)


# Scaling.


def divide(X: NDArray[np.float32], top: float) -> Scaled:
    """Divides features by a number, in place.

    Args:
      X: `(n_samples, n_features)`.
      top: The number.

    Returns:
      `X`, and what undoes the division.
    """
    X /= top
    n_features = X.shape[1]
    return X, Standardizer(np.zeros(n_features), np.full(n_features, float(top)))


def _divide_by_largest(top: int) -> Scaling:
    """Returns a scaling that checks that features run from 0 to `top`, and divides by it."""

    def scale(X: NDArray[np.float32], name: str) -> Scaled:
        if X.min() != 0 or X.max() != top:
            raise InputError(
                f"The features of {name!r} must run from 0 to {top}, "
                f"received {X.min():g} to {X.max():g}."
            )
        return divide(X, top)

    return scale


def _check_unit_range(X: NDArray[np.float32], name: str) -> Scaled:
    if not (X.min() >= 0 and X.max() <= 1):
        raise InputError(
            f"The features of {name!r} must be in [0, 1], received {X.min():g} to {X.max():g}."
        )
    return X, None


def _scale_to_unit_length(X: NDArray[np.float32], name: str) -> Scaled:
    """Scales each sample to length 1, which undoes DEC's factor sqrt(2000); zeros stay."""
    if not X.min() >= 0:
        raise InputError(f"The features of {name!r} must be tf-idf weights, none below 0.")
    length = np.linalg.norm(X, axis=1, keepdims=True)
    X /= np.where(length > 0, length, 1)
    return X, None


def _standardize(X: NDArray[np.float32], _name: str) -> Scaled:
    """Fills missing values with the feature's mean, then scales to mean 0 and sd 1."""
    from sklearn.impute import SimpleImputer
    from sklearn.preprocessing import StandardScaler

    filled = SimpleImputer(keep_empty_features=True).fit_transform(X.astype(np.float64))
    scaler = StandardScaler().fit(filled)
    units = Standardizer(scaler.mean_, scaler.scale_)
    return scaler.transform(filled).astype(np.float32), units


_KERAS_LAYOUT = "x_train, y_train, x_test, y_test"
_IMAGE = Picture("image", (28, 28))
# TensorFlow 1's input_data, with which ClusterGAN's code reads images, holds out the first ones.
_IMAGES_VALIDATION, _IMAGES_FIT = slice(5_000), slice(5_000, 60_000)
_HEART_FEATURES = (
    "age", "sex", "cp", "trestbps", "chol", "fbs", "restecg", "thalach", "exang", "oldpeak",
    "slope", "ca", "thal",
)  # fmt: skip
_UCI = "https://archive.ics.uci.edu/dataset"

DATASETS: Mapping[str, DatasetInfo] = MappingProxyType(
    {
        info.name: info
        for info in (
            DatasetInfo(
                name="digits",
                description="Handwritten digits, 8x8, bundled with scikit-learn",
                n_samples=1797,
                n_features=64,
                n_classes=10,
                source=f"Alpaydin and Kaynak 1998, {_UCI}/80 (its test set)",
                license="CC BY 4.0",
                picture=Picture("image", (8, 8)),
                fetch=fetch_digits,
                scale=_divide_by_largest(16),
            ),
            DatasetInfo(
                name="synthetic",
                description="Four Gaussians in the plane, bent into 100 dimensions",
                n_samples=10_000,
                n_features=SYNTHETIC_FEATURES,
                n_classes=4,
                source="computed, after Mukherjee et al. 2019 and Yang et al. 2017",
                license="none needed",
                fetch=_fetch_synthetic,
            ),
            DatasetInfo(
                name="mnist",
                description="MNIST: handwritten digits, 28x28",
                n_samples=70_000,
                n_features=784,
                n_classes=10,
                source="LeCun, Cortes and Burges 1998, https://keras.io/api/datasets/mnist",
                license="CC BY-SA 3.0, as commonly stated",
                n_train=60_000,
                validation=_IMAGES_VALIDATION,
                fit=_IMAGES_FIT,
                picture=_IMAGE,
                file="mnist.npz",
                layout=f"{_KERAS_LAYOUT}: 60000 and 10000 images (28, 28) from 0 to 255",
                fetch=fetch_mnist,
                scale=_divide_by_largest(255),
            ),
            *(
                DatasetInfo(
                    name=name,
                    description=description,
                    n_samples=70_000,
                    n_features=784,
                    n_classes=n_classes,
                    source="Xiao et al. 2017, https://github.com/zalandoresearch/fashion-mnist",
                    license="MIT",
                    n_train=60_000,
                    validation=_IMAGES_VALIDATION,
                    fit=_IMAGES_FIT,
                    picture=_IMAGE,
                    file="fashion_mnist.npz",
                    layout=f"{_KERAS_LAYOUT}: 60000 and 10000 images (28, 28) from 0 to 255",
                    fetch=fetch_fashion_mnist,
                    scale=_divide_by_largest(255),
                    relabel=relabel,
                )
                for name, description, n_classes, relabel in (
                    ("fashion_mnist", "Fashion-MNIST: articles of clothing, 28x28", 10, None),
                    ("fashion5", "Fashion-MNIST joined to five classes", 5, FASHION5_CLASSES),
                )
            ),
            DatasetInfo(
                name="pendigits",
                description="Handwritten digits as 8 points of a pen's path",
                n_samples=10_992,
                n_features=16,
                n_classes=10,
                source=f"Alpaydin and Alimoglu 1996, {_UCI}/81",
                license="CC BY 4.0",
                n_train=7_494,
                # ClusterGAN's code trains on its validation samples too.
                validation=slice(6_494, 7_494),
                fit=slice(7_494),
                picture=Picture("strokes", (8, 2)),
                file="pendigits.npz",
                layout=f"{_KERAS_LAYOUT}: 7494 and 3498 samples of 16 values from 0 to 100",
                fetch=fetch_pendigits,
                scale=_divide_by_largest(100),
            ),
            DatasetInfo(
                name="usps",
                description="USPS: handwritten digits of postal codes, 16x16",
                n_samples=9_298,
                n_features=256,
                n_classes=10,
                source="Hull 1994, https://www.openml.org/d/41082",
                license="none stated",
                picture=Picture("image", (16, 16)),
                file="usps.npz",
                layout="X (9298, 256) in [0, 1] and y (9298,), digits 0 to 9",
                fetch=fetch_usps,
                scale=_check_unit_range,
            ),
            DatasetInfo(
                name="reuters10k",
                description="10,000 Reuters news stories of four categories, tf-idf of 2,000 terms",
                n_samples=10_000,
                n_features=2_000,
                n_classes=4,
                source="Lewis et al. 2004 (RCV1-v2), https://scikit-learn.org/stable/datasets",
                license="free for research, with citation",
                file="reuters10k.npz",
                layout="X (10000, 2000), tf-idf, and y (10000,)",
                fetch=fetch_reuters10k,
                scale=_scale_to_unit_length,
            ),
            DatasetInfo(
                name="stl10",
                description="STL-10: features of 13,000 photographs of ten classes",
                n_samples=13_000,
                n_features=None,
                n_classes=10,
                source="Coates et al. 2011, https://cs.stanford.edu/~acoates/stl10",
                license="none stated",
                file="stl10.npz",
                layout="X (13000, d), features of the images (HOG in DEC's paper, VGG-16 in "
                "DEC-keras) scaled to [0, 1], and y (13000,)",
                scale=_check_unit_range,
            ),
            DatasetInfo(
                name="10x_73k",
                description="Blood cells of eight types: expression of 720 genes",
                n_samples=73_233,
                n_features=720,
                n_classes=8,
                source="Zheng et al. 2017, as chosen by https://github.com/sudiptodip15/ClusterGAN",
                license="CC BY 4.0 (10x Genomics)",
                file="10x_73k.npz",
                layout="X (73233, 720), log2(1 + count) over its maximum, and y (73233,)",
                scale=_check_unit_range,
            ),
            DatasetInfo(
                name="heart_disease",
                description="Heart disease: 13 findings on patients of four hospitals",
                n_samples=920,
                n_features=13,
                n_classes=5,
                source=f"Janosi, Steinbrunn, Pfisterer and Detrano 1988, {_UCI}/45",
                license="CC BY 4.0",
                file="heart_disease_4hospitals.npz",
                feature_names=_HEART_FEATURES,
                layout="x (920, 13) with NaN where missing, y (920,) from 0 to 4, and site (920,): "
                "Cleveland, Hungarian, Switzerland, VA in that order",
                scale=_standardize,
            ),
            DatasetInfo(
                name="mice_protein",
                description="Mice of eight classes: expression of 77 proteins",
                n_samples=1_080,
                n_features=77,
                n_classes=8,
                source=f"Higuera, Gardiner and Cios 2015, {_UCI}/342",
                license="CC BY 4.0",
                file="mice_protein.npz",
                layout="x (1080, 77) with NaN where missing, y (1080,) and mouse (1080,), in "
                "UCI's order",
                fetch=fetch_mice_protein,
                scale=_standardize,
            ),
        )
    }
)


def needs_scaling(name: str) -> bool:
    """Returns whether a data set is standardized, for which clients must add up their statistics.

    Args:
      name: One of `DATASETS`.
    """
    return DATASETS[name].scale is _standardize


GROUPS: Mapping[str, tuple[str, tuple[str, ...], str]] = MappingProxyType(
    {
        "mnist": (
            "mnist_writers.npz",
            ("writer_train", "writer_test"),
            "QMNIST's label files (third column), https://github.com/facebookresearch/qmnist",
        ),
        "heart_disease": (
            "heart_disease_4hospitals.npz",
            ("site",),
            DATASETS["heart_disease"].source,
        ),
        "mice_protein": ("mice_protein.npz", ("mouse",), DATASETS["mice_protein"].source),
    }
)
"""Data set to the file with the natural group of each sample, its arrays, and their source."""
