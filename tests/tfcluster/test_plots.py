"""Each picture is a valid, small PNG with something in it, on plain data and at the edges."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread
from sklearn.datasets import load_digits, load_iris

from tests.tfcluster.plot_helpers import (
    DIGIT,
    Drawn,
    certain,
    colors,
    labels_at_left,
    samples_by_class,
    samples_in_blobs,
    tile,
)
from tfcluster import plots
from tfcluster.errors import InputError
from tfcluster.plots import embedding, top_confidence
from tfcluster.profile import ClusterProfile


@pytest.mark.parametrize(
    ("n", "d", "k"),
    [(3, 5, 2), (2, 2, 2), (1, 4, 1), (30, 1, 3), (60, 2, 15), (60, 3, 50)],
)
def test_embedding_of_any_size(png: Path, n: int, d: int, k: int) -> None:
    Z, labels = samples_in_blobs(n, d, k)
    assert plots.draw_embedding(png, Z, labels) == png
    assert colors(png) > 10


def test_embedding_with_classes_is_taller_and_samples(png: Path) -> None:
    Z, labels = samples_in_blobs(50, 4, 5)
    names = np.array(["cat", "dog", "owl"])[labels % 3]
    plots.draw_embedding(png, Z, labels, max_samples=20)
    height = imread(png).shape[0]
    plots.draw_embedding(png, Z, labels, centroids=Z[:5], y=names, max_samples=20)
    assert imread(png).shape[0] > 1.8 * height
    assert colors(png) > 10


def test_embedding_is_repeatable_and_the_seed_counts(tmp_path: Path) -> None:
    Z, labels = samples_in_blobs(40, 4, 2)
    paths = [tmp_path / name for name in "abc"]
    for path, seed in zip(paths, (0, 0, 1), strict=True):
        plots.draw_embedding(path, Z, labels, max_samples=20, seed=seed)
    first, again, other = (path.read_bytes() for path in paths)
    assert first == again != other


def test_a_collapsed_embedding_is_drawn(png: Path) -> None:
    plots.draw_embedding(png, np.ones((20, 3)), np.zeros(20, int), centroids=np.ones((2, 3)))
    assert colors(png) > 3


def test_a_class_has_the_color_of_its_cluster() -> None:
    # Cluster 0 holds the b's and 1 the a's, so b is number 0 and a 1; c is matched to none.
    y, labels = np.array(["a", "a", "b", "b", "c"]), np.array([1, 1, 0, 0, 0])
    names, codes = embedding._match_colors(np.unique(y, return_inverse=True), y, labels)
    assert names.tolist() == ["b", "a", "c"]
    assert codes.tolist() == [1, 1, 0, 0, 2]


@pytest.mark.parametrize(("classes", "clusters"), [(3, 3), (2, 15), (12, 1), (31, 31)])
def test_confusion_of_any_shape(png: Path, classes: int, clusters: int) -> None:
    rng = np.random.default_rng(0)
    true = [f"class {c}" for c in rng.integers(0, classes, 300)]
    plots.draw_confusion(png, true, rng.integers(0, clusters, 300))
    assert colors(png) > 10


def test_large_counts_are_drawn_as_shares(png: Path) -> None:
    true = np.repeat([0, 1], 11_000)
    plots.draw_confusion(png, true, 1 - true)
    assert colors(png) > 10


@pytest.mark.parametrize(
    "picture",
    [
        Drawn("image", (4, 4)),
        Drawn("image", (2, 8, 1)),
        Drawn("strokes", (8, 2)),
        None,
    ],
)
@pytest.mark.parametrize("k", [3, 15])
def test_top_confidence_of_every_kind(png: Path, picture: Drawn | None, k: int) -> None:
    X, labels = samples_in_blobs(90, 16, k)
    q = certain(labels, k + 1)  # the last cluster has no samples
    assert plots.draw_top_confidence(png, X, q, picture, per_cluster=4) == png
    assert colors(png) > 10


def test_color_noise_still_fits(png: Path) -> None:
    labels = np.arange(120) % 12
    X = np.random.default_rng(0).random((120, 32, 32, 3))
    plots.draw_top_confidence(png, X, certain(labels, 12), Drawn("image", (32, 32, 3)))
    assert colors(png) > 100


def test_most_confident_samples_are_owned_and_in_order() -> None:
    q = np.array([[0.6, 0.4], [0.9, 0.1], [0.45, 0.55], [0.7, 0.3]])
    first, second = top_confidence._find_most_confident(q, 2)
    assert first.tolist() == [1, 3]
    assert second.tolist() == [2]


def test_confident_samples_of_a_table_are_bands(png: Path, figures: list[Figure]) -> None:
    X, labels = samples_in_blobs(30, 200, 3)
    X[:, 7] = 1.0
    names = [f"{i:03} is named in more than 24 letters" for i in range(200)]
    q = certain(labels, 4)
    plots.draw_top_confidence(png, X, q, None, names, per_cluster=4)
    assert colors(png) > 10
    ax = figures[0].axes[0]
    sheet = ax.images[0].get_array().filled(np.nan)
    assert np.flatnonzero(np.isnan(sheet).all(axis=1)).tolist() == [4, 9, 14, 15, 16, 17, 18]
    last = ax.get_xticklabels()[-1].get_text()
    assert last.endswith(" is named in more th…")
    best = np.argsort(-q[:, 1])[:4]
    feature = X[:, int(last[:3])]
    scaled = (feature[best] - feature.mean()) / feature.std()
    np.testing.assert_allclose(sheet[5:9, -1], scaled)
    assert "no samples" in [text.get_text() for text in ax.texts]


def build_profile(X: np.ndarray, labels: np.ndarray, k: int) -> ClusterProfile:
    names = [f"feature {i}" for i in range(X.shape[1])]
    return ClusterProfile.from_samples(X, labels, k, names)


@pytest.mark.parametrize("k", [2, 15])
@pytest.mark.parametrize("d", [1, 16, 100])
def test_profiles_of_any_size(png: Path, d: int, k: int) -> None:
    X, labels = samples_in_blobs(90, d, k)
    assert plots.draw_profile(png, build_profile(X, labels, k + 1), None) == png
    assert colors(png) > 10


def test_a_profile_shows_the_most_distinct_features(png: Path, figures: list[Figure]) -> None:
    X, labels = samples_in_blobs(90, 100, 3)
    X[:, 70] *= 0.01
    X[:, 70] += labels
    profile = build_profile(X, labels, 4)
    plots.draw_profile(png, profile, None)
    ax = figures[0].axes[0]
    ticks = [label.get_text() for label in ax.get_xticklabels()]
    assert len(ticks) == 40
    assert ticks[0] == "feature 70"
    assert labels_at_left(figures[0]) == [*(f"{k}: 30 samples" for k in range(3)), "3: 0 samples"]
    sheet = np.asarray(ax.images[0].get_array().filled(np.nan))
    expected = profile.standardized_differences[:, profile.most_distinct(40)]
    np.testing.assert_allclose(sheet, expected)
    assert "no samples" in [text.get_text() for text in ax.texts]
    assert "40 of 100 features" in ax.get_title(loc="left")


def test_a_profile_of_few_features_tells_the_means(png: Path, figures: list[Figure]) -> None:
    X = np.array([[0.0, 1000, 3e-5], [2, 3000, 3e-5]])
    plots.draw_profile(png, build_profile(X, np.array([0, 1]), 2), None)
    texts = [text.get_text() for text in figures[0].axes[0].texts]
    assert texts == ["0.00", "2.00", "1000", "3000", "3.0e-05", "3.0e-05"]


def test_a_profile_of_pictures_is_the_mean_pictures(png: Path, figures: list[Figure]) -> None:
    data = load_digits()
    labels = np.where(data.target == 4, 11, data.target)
    plots.draw_profile(png, build_profile(data.data, labels, 12), DIGIT)
    ax = figures[0].axes[0]
    assert [text.get_text().split(":")[0] for text in ax.texts] == [
        *map(str, (0, 1, 2, 3, 5, 6, 7, 8, 9, 11))
    ]
    assert ax.get_title(loc="left").endswith("without samples: 4, 10")
    mean = data.data[data.target == 4].mean(axis=0).reshape(8, 8)
    means = [data.data[data.target == k].mean(axis=0) for k in range(10)]
    low, high = np.min(means), np.max(means)
    np.testing.assert_allclose(low + (high - low) / 16 * tile(figures[0], 0, 9), mean)


def test_samples_of_a_cluster_stand_in_its_line(png: Path, figures: list[Figure]) -> None:
    samples = samples_by_class(load_digits(), 6)
    assert plots.draw_generated_samples(png, samples, DIGIT) == png
    assert colors(png) > 10
    assert labels_at_left(figures[0]) == [str(k) for k in range(10)]
    for k, i in ((0, 0), (3, 5), (9, 2)):
        np.testing.assert_allclose(tile(figures[0], k, i), samples[k, i].reshape(8, 8))
        assert tuple(figures[0].axes[0].images[k].get_extent()) == (0, 6, k + 1, k)


def test_generated_strokes_keep_their_place_and_size(png: Path, figures: list[Figure]) -> None:
    small, large = np.array([0.0, 0, 1, 1]), np.array([0.0, 0, 4, 4])
    plots.draw_generated_samples(
        png, np.stack([small, large])[np.newaxis], Drawn("strokes", (2, 2))
    )
    first, second = (line.get_xdata() for line in figures[0].axes[0].lines[::2])
    assert 4 * np.ptp(first) == pytest.approx(np.ptp(second)) == pytest.approx(0.8)
    assert first[0] + 1 == pytest.approx(second[0])


def test_generated_tables_are_bands_of_a_heat_map(png: Path, figures: list[Figure]) -> None:
    samples = samples_by_class(load_iris(), 5)
    plots.draw_generated_samples(png, samples, None)
    assert colors(png) > 10
    sheet = figures[0].axes[0].images[0].get_array().filled(np.nan)
    gaps = np.isnan(sheet).all(axis=1)
    assert np.flatnonzero(gaps).tolist() == [5, 11]
    every = samples.reshape(-1, 4)
    np.testing.assert_allclose(sheet[~gaps], (every - every.mean(0)) / every.std(0))
    assert figures[0].axes[0].get_yticks().tolist() == [2, 8, 14]


def test_a_heat_map_shows_what_differs(png: Path, figures: list[Figure]) -> None:
    samples = np.random.default_rng(0).normal(size=(2, 50, 100))
    samples[1, :, 40:99] += 3
    samples[0, 0, 99] = 1e6  # one outlier does not pale the others
    plots.draw_generated_samples(png, samples, None)
    ax, bar = figures[0].axes
    shown = {int(label.get_text()) for label in ax.get_xticklabels()}
    assert len(shown) == 64
    assert shown >= set(range(40, 99))
    assert "64 of 100 features" in ax.get_title(loc="left")
    assert ax.images[0].get_clim() == (-3, 3)
    assert "cut at ±3" in bar.get_ylabel()


def test_samples_stand_above_their_reconstructions(png: Path, figures: list[Figure]) -> None:
    X = load_digits().data[:12]
    plots.draw_reconstructions(png, X, X[:, ::-1] + 1, DIGIT)
    assert colors(png) > 10
    assert labels_at_left(figures[0]) == ["x", "G(E(x))"] * 2
    for i in (0, 5, 6, 11):  # two bands of six
        line, column = i // 6 * 2, i % 6
        np.testing.assert_allclose(tile(figures[0], line, column), X[i].reshape(8, 8))
        # what is brighter than all samples is drawn like the brightest
        made = np.clip(X[i, ::-1] + 1, 0, 16).reshape(8, 8)
        np.testing.assert_allclose(tile(figures[0], line + 1, column), made)
    tops = [image.get_extent()[3] for image in figures[0].axes[0].images]
    assert tops[1] == tops[0] + 1 < tops[2] - 1


def test_reconstructed_tables_are_scaled_as_the_samples(png: Path, figures: list[Figure]) -> None:
    X = load_iris().data[45:55]
    plots.draw_reconstructions(png, X, X + X.std(axis=0), None)
    sheet = figures[0].axes[0].images[0].get_array().filled(np.nan)
    np.testing.assert_allclose(sheet[1::3], sheet[::3] + 1)
    assert np.isnan(sheet[2::3]).all()


def test_interpolation_goes_from_left_to_right(png: Path, figures: list[Figure]) -> None:
    ends = samples_by_class(load_digits(), 1)[:, 0]
    share = np.linspace(0, 1, 5)[:, np.newaxis]
    steps = np.stack([(1 - share) * ends[a] + share * ends[b] for a, b in ((0, 1), (7, 2))])
    plots.draw_interpolation(png, steps, DIGIT, [(0, 1), (7, 2)])
    assert colors(png) > 10
    np.testing.assert_allclose(tile(figures[0], 1, 0), ends[7].reshape(8, 8))
    np.testing.assert_allclose(tile(figures[0], 1, 4), ends[2].reshape(8, 8))
    plots.draw_interpolation(png, steps, None, [(0, 1), (7, 2)])
    assert labels_at_left(figures[0]) == labels_at_left(figures[1]) == ["0 → 1", "7 → 2"]


@pytest.mark.parametrize(
    "picture", [Drawn("image", (4, 4)), Drawn("image", (2, 2, 4)), Drawn("strokes", (8, 2)), None]
)
@pytest.mark.parametrize("shape", [(1, 1, 16), (2, 12, 16), (40, 3, 16)])
def test_generated_samples_of_every_kind(
    png: Path, picture: Drawn | None, shape: tuple[int, int, int]
) -> None:
    stack = np.random.default_rng(0).random(shape)
    pairs = [(k, k + 1) for k in range(len(stack))]
    assert colors(plots.draw_generated_samples(png, stack, picture)) > 3
    assert colors(plots.draw_interpolation(png, stack, picture, pairs)) > 3
    assert colors(plots.draw_reconstructions(png, stack[:, 0], stack[:, -1], picture)) > 3


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda p: plots.draw_embedding(p, np.zeros((3, 2)), [0, 1]), "2 labels for 3 samples"),
        (lambda p: plots.draw_embedding(p, np.full((3, 2), np.nan), [0, 1, 1]), "finite matrix"),
        (lambda p: plots.draw_confusion(p, [0, 1], [0]), "y_true has 2, y_pred has 1"),
        (lambda p: plots.draw_n_clusters(p, []), "`records` needs one record"),
        (
            lambda p: plots.draw_top_confidence(p, np.zeros((3, 4)), np.ones((2, 2)), None),
            "X has 3, q has 2",
        ),
        (
            lambda p: plots.draw_top_confidence(
                p, np.zeros((2, 4)), np.ones((2, 2)), Drawn("image", (3, 3))
            ),
            r"Received \(3, 3\) for samples of 4 values",
        ),
        (
            lambda p: plots.draw_top_confidence(
                p, np.zeros((2, 4)), np.ones((2, 2)), Drawn("map", ())
            ),
            "Received: 'map'",
        ),
        (
            lambda p: plots.draw_generated_samples(p, np.zeros((3, 4)), None),
            r"`samples` .* shape \(3, 4\)",
        ),
        (
            lambda p: plots.draw_generated_samples(p, np.zeros((3, 2, 4)), DIGIT),
            "samples of 4 values",
        ),
        (
            lambda p: plots.draw_generated_samples(p, np.full((3, 2, 4), np.inf), None),
            "24 values NaN or inf",
        ),
        (
            lambda p: plots.draw_interpolation(p, np.zeros((2, 5, 4)), None, [(0, 1)]),
            "1 pairs for 2 interpolations",
        ),
        (
            lambda p: plots.draw_reconstructions(p, np.zeros((2, 4)), np.zeros((3, 4)), None),
            r"\(2, 4\) and \(3, 4\)",
        ),
        (lambda p: plots.draw_trials(p, []), "Received 0 records"),
        (lambda p: plots.draw_trials(p, [{"seed": 0, "purity": 0.5}]), "finite `selection`"),
    ],
)
def test_mistakes_are_named(png: Path, draw: Callable[[Path], Path], message: str) -> None:
    with pytest.raises(InputError, match=message):
        draw(png)
    assert not png.exists()


def test_no_global_figure_and_no_tensorflow(png: Path) -> None:
    code = (
        "import sys; from tfcluster import plots;"
        f"plots.draw_confusion({str(png)!r}, [0, 1, 1], [1, 0, 0]);"
        "sys.exit(bool({'matplotlib.pyplot', 'tensorflow'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
