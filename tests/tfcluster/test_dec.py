"""The estimator: what a user of scikit-learn relies on."""

import dataclasses
import pickle

import numpy as np
import pytest
import tensorflow as tf
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from tests.tfcluster.helpers import TINY, TINY_LAYERWISE, assert_same_bits, blobs
from tfcluster import DEC, InputError
from tfcluster.config import SGD, DECConfig, EndToEnd
from tfcluster.errors import TrainingError
from tfcluster.estimator import EmptyClusterWarning
from tfcluster.files import load_arrays, save_arrays
from tfcluster.metrics import accuracy

CONFIGS = {
    "end to end": TINY,
    "layer-wise": TINY_LAYERWISE,
    "batch target": dataclasses.replace(TINY, target="batch"),
}


class DECOfTwo(DEC):
    """A DEC that keeps two clusters whatever a check sets."""

    @property
    def n_clusters(self):
        return 2

    @n_clusters.setter
    def n_clusters(self, value):
        pass


# These checks set n_clusters = 1, which DEC refuses; on `DECOfTwo` they pass.
ONE_CLUSTER = dict.fromkeys(
    (
        "check_dont_overwrite_parameters",
        "check_fit2d_1feature",
        "check_fit2d_1sample",
        "check_fit2d_predict1d",
        "check_methods_subset_invariance",
    ),
    "sets n_clusters=1; DEC needs at least 2",
)


@pytest.mark.filterwarnings("ignore::tfcluster.estimator.EmptyClusterWarning")
@parametrize_with_checks(
    [DEC(3, preset=TINY, random_state=0)],
    expected_failed_checks=lambda _: ONE_CLUSTER,
    xfail_strict=True,
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.filterwarnings("ignore::tfcluster.estimator.EmptyClusterWarning")
@pytest.mark.parametrize("name", ONE_CLUSTER)
def test_scikit_learn_checks_that_set_one_cluster(name):
    check = getattr(estimator_checks, name)
    check("DEC", DECOfTwo(preset=TINY, random_state=0))


@pytest.fixture(scope="module")
def fitted():
    X, y = blobs()
    return DEC(3, preset=TINY, random_state=0).fit(X), X, y


def test_labels_are_predictions(fitted):
    dec, X, _ = fitted
    np.testing.assert_array_equal(dec.labels_, dec.predict(X))
    np.testing.assert_array_equal(dec.labels_, dec.fit_predict(X))
    np.testing.assert_array_equal(dec.labels_, dec.soft_assign(X).argmax(1))


def test_shapes(fitted):
    dec, X, _ = fitted
    assert dec.transform(X).shape == (120, 3)
    assert dec.soft_assign(X).shape == (120, 3)
    assert dec.reconstruct(X).shape == X.shape
    assert dec.cluster_centers_.shape == (3, 3)
    assert list(dec.get_feature_names_out()) == ["dec0", "dec1", "dec2"]
    np.testing.assert_allclose(dec.soft_assign(X).sum(1), 1, rtol=1e-5)
    assert [r["phase"] for r in dec.history_][3] == "centroids"
    assert dec.n_iter_ == dec.history_[-1]["step"]


@pytest.mark.filterwarnings("ignore::tfcluster.estimator.EmptyClusterWarning")
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_same_seed_same_bits(config):
    X, _ = blobs()
    first = DEC(3, preset=config, random_state=1).fit(X)
    assert_same_bits(first, DEC(3, preset=config, random_state=1).fit(X))
    other = DEC(3, preset=config, random_state=2).fit(X)
    assert (first.cluster_centers_ != other.cluster_centers_).any()


def test_large_networks_are_bit_equal_too(digits):
    """Above the size where a batch is halved over two branches."""
    config = DECConfig(
        dims=(500, 500, 2000, 10), pretraining=EndToEnd(1), kmeans_restarts=2, max_steps=4
    )
    X, _ = digits
    assert_same_bits(*(DEC(10, preset=config, random_state=0).fit(X) for _ in range(2)))


def test_y_is_never_used(fitted):
    dec, X, y = fitted
    assert_same_bits(dec, clone(dec).fit(X, y))


def test_clustering_improves_digits(digits):
    X, y = digits
    config = DECConfig(
        dims=(64, 64, 10), pretraining=EndToEnd(80), update_interval=30, max_steps=600
    )
    dec = DEC(10, preset=config, random_state=0).fit(X)
    assert accuracy(y, dec.labels_) > accuracy(y, dec.initial_labels_)


def test_another_estimator_does_not_disturb_a_fitted_one(fitted):
    dec, X, _ = fitted
    before = dec.soft_assign(X)
    DEC(3, preset=TINY, random_state=9).fit(blobs(seed=5)[0])
    np.testing.assert_array_equal(dec.soft_assign(X), before)


def test_save_and_load(fitted, tmp_path):
    dec, X, _ = fitted
    dec.save(tmp_path / "dec.npz")
    loaded = DEC.load(tmp_path / "dec.npz")
    assert_same_bits(dec, loaded)
    np.testing.assert_array_equal(loaded.predict(X), dec.labels_)
    np.testing.assert_array_equal(loaded.reconstruct(X), dec.reconstruct(X))
    assert loaded.history_ == dec.history_
    assert loaded.config_ == dec.config_


def test_layer_wise_scale_is_kept(tmp_path):
    X = 7 * blobs()[0]
    dec = DEC(3, preset=TINY_LAYERWISE, random_state=0).fit(X)
    np.testing.assert_allclose(np.mean((X * dec.scale_) ** 2), 1, rtol=1e-5)
    dec.save(tmp_path / "dec.npz")
    np.testing.assert_array_equal(DEC.load(tmp_path / "dec.npz").predict(X), dec.labels_)


def test_pickle(fitted):
    dec, X, _ = fitted
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(dec)).predict(X), dec.labels_)


def test_keras_models_compute_the_same(fitted):
    dec, X, _ = fitted
    x = tf.constant(X, tf.float32)
    np.testing.assert_allclose(dec.encoder_(x), dec.transform(X), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(dec.model_(x), dec.soft_assign(X), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(dec.autoencoder_(x), dec.reconstruct(X), rtol=1e-5, atol=1e-6)


def test_shared_pretraining_equals_a_whole_fit(fitted):
    dec, X, _ = fitted
    again = clone(dec)
    assert_same_bits(dec, again.fit(X, pretrained=clone(dec).pretrain(X)))


@pytest.mark.parametrize("config", [TINY, TINY_LAYERWISE], ids=["end to end", "layer-wise"])
def test_interrupted_anywhere_ends_alike(config, tmp_path):
    X, _ = blobs()
    whole = DEC(3, preset=config, random_state=0).fit(X)
    for number in range(len(whole.history_)):
        path = tmp_path / f"{number}.npz"
        seen = []

        def stop(record, seen=seen, number=number):
            seen.append(record)
            if len(seen) == number + 1:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            DEC(3, preset=config, random_state=0).fit(X, callbacks=[stop], checkpoint=path)
        resumed = DEC(3, preset=config, random_state=0).fit(X, checkpoint=path)
        assert_same_bits(whole, resumed)
        np.testing.assert_array_equal(whole.initial_labels_, resumed.initial_labels_)
        plain = [{k: v for k, v in r.items() if k != "seconds"} for r in resumed.history_]
        assert plain == [{k: v for k, v in r.items() if k != "seconds"} for r in whole.history_]


@pytest.mark.parametrize("callbacks", [print, [print, None], "print", None])
def test_callbacks_are_a_list_of_functions(fitted, callbacks):
    dec, X, _ = fitted
    for method in (clone(dec).fit, clone(dec).pretrain):
        with pytest.raises(InputError, match="Write a single one as `callbacks="):
            method(X, callbacks=callbacks)


def test_checkpoint_of_another_run_is_refused(tmp_path):
    X, _ = blobs()
    path = tmp_path / "checkpoint.npz"
    DEC(3, preset=TINY, random_state=0).fit(X, checkpoint=path)
    with pytest.raises(InputError, match="another run: random_state, initial weights differ"):
        DEC(3, preset=TINY, random_state=1).fit(X, checkpoint=path)
    with pytest.raises(InputError, match="data differ"):
        DEC(3, preset=TINY, random_state=0).fit(X + 0.01, checkpoint=path)
    other = DEC(3, preset=TINY, random_state=1).pretrain(X)
    with pytest.raises(InputError, match="initial weights differ"):
        DEC(3, preset=TINY, random_state=0).fit(X, checkpoint=path, pretrained=other)


def test_stops_when_labels_settle():
    X, _ = blobs()
    config = dataclasses.replace(TINY, tol=1.0, max_steps=1000)
    dec = DEC(3, preset=config, random_state=0).fit(X)
    assert dec.n_iter_ == 5  # looked at when the target is updated, not before the first step
    assert dec.history_[-1]["converged"]


def test_no_clustering_steps_is_autoencoder_and_kmeans():
    X, _ = blobs()
    dec = DEC(3, preset=dataclasses.replace(TINY, max_steps=0), random_state=0).fit(X)
    assert dec.n_iter_ == 0
    np.testing.assert_array_equal(dec.labels_, dec.initial_labels_)


DIVERGING = {
    "on the way": dataclasses.replace(TINY, pretraining=EndToEnd(30, SGD(1e4, 0.9))),
    # the last step: no later loss would show it
    "pretraining ends": dataclasses.replace(
        TINY, batch_size=120, pretraining=EndToEnd(2, SGD(1e30))
    ),
    "clustering ends": dataclasses.replace(
        TINY, batch_size=120, optimizer=SGD(1e30), max_steps=1, update_interval=1
    ),
}


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
@pytest.mark.parametrize("config", DIVERGING.values(), ids=DIVERGING)
def test_diverging_training_is_said_and_not_kept(config, tmp_path):
    X, _ = blobs()
    path = tmp_path / "checkpoint.npz"
    dec = DEC(3, preset=config, random_state=0)
    with pytest.raises(TrainingError, match="Lower the learning rate"):
        dec.fit(X, checkpoint=path, checkpoint_seconds=0)
    if path.exists():
        assert all(np.isfinite(array).all() for array in load_arrays(path)[0].values())
    with pytest.raises(NotFittedError):
        dec.predict(X)


def test_a_refused_fit_leaves_the_fitted_one(fitted):
    dec, X, _ = fitted
    labels = dec.labels_
    with pytest.raises(InputError):
        dec.fit(np.ones((10, 5)))
    dec.pretrain(X[:, :4])
    np.testing.assert_array_equal(dec.predict(X), labels)


def test_pretraining_by_itself_is_no_fit():
    X, _ = blobs()
    dec = DEC(3, preset=TINY, random_state=0)
    dec.pretrain(X)
    with pytest.raises(NotFittedError):
        dec.predict(X)


def test_checkpoints_need_a_seed_and_separate_files(tmp_path):
    X, _ = blobs()
    path = tmp_path / "checkpoint.npz"
    with pytest.raises(InputError, match="needs a whole number as `random_state`"):
        DEC(3, preset=TINY).fit(X, checkpoint=path)
    dec = DEC(3, preset=TINY, random_state=0).fit(X, checkpoint=path)
    with pytest.raises(InputError, match="separate files"):
        dec.pretrain(X, checkpoint=path)


@pytest.mark.parametrize("seed", [-1, "a", 0.5])
def test_bad_seeds(seed):
    with pytest.raises(InputError, match="random_state"):
        DEC(3, preset=TINY, random_state=seed).fit(X_GOOD)


def test_files_of_another_kind_are_no_dec(tmp_path):
    save_arrays(tmp_path / "x.npz", {"a": np.ones(2)}, {"estimator": "DEC"})
    with pytest.raises(InputError, match="no fitted DEC"):
        DEC.load(tmp_path / "x.npz")


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_dead_cluster_is_reported():
    X = np.repeat(np.eye(5), 10, axis=0)  # five distinct samples cannot fill eight clusters
    with pytest.warns(EmptyClusterWarning, match="own no samples"):
        DEC(8, preset=TINY, random_state=0).fit(X)


X_GOOD = blobs()[0]


@pytest.mark.parametrize(
    ("X", "rule"),
    [
        (np.where(np.arange(6) == 2, np.nan, X_GOOD), "NaN"),
        (np.where(np.arange(6) == 2, np.inf, X_GOOD), "infinity"),
        (np.full((10, 3), "a"), "could not convert|Unable to convert"),
        (X_GOOD[0], "Expected 2D array"),
        (X_GOOD.reshape(10, 4, 3, 6), "dim 4"),
        (X_GOOD[:0], "0 sample"),
        (X_GOOD[:2], "n_samples=2 should be >= n_clusters=3"),
        (np.ones((20, 4)), "All 20 samples are identical"),
        (X_GOOD * 1e300, "too large|infinity"),
    ],
    ids=["nan", "inf", "text", "rank 1", "rank 4", "none", "few", "identical", "float32"],
)
def test_bad_samples(X, rule):
    with pytest.raises(InputError, match=rule):
        DEC(3, preset=TINY).fit(X)


def test_constant_columns_are_fine():
    X = np.hstack([X_GOOD, np.zeros((120, 2))])
    assert DEC(3, preset=TINY, random_state=0).fit(X).labels_.shape == (120,)


@pytest.mark.parametrize("n_clusters", [1, 0, -3, 2.5, "3", True])
def test_bad_n_clusters(n_clusters):
    with pytest.raises(InputError, match="n_clusters"):
        DEC(n_clusters, preset=TINY).fit(X_GOOD)


def test_other_features_than_fitted(fitted):
    dec, X, _ = fitted
    with pytest.raises(InputError, match="expecting 6 features"):
        dec.predict(X[:, :4])


def test_unknown_preset_names_the_nearest():
    with pytest.raises(InputError, match="Did you mean 'keras:mnist'"):
        DEC(3, preset="keras:minst").fit(X_GOOD)
