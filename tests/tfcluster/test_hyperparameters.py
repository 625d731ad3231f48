"""Hyper-parameters as arguments of the estimators: what scikit-learn's tools reach."""

import dataclasses
import inspect
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from tests.tfcluster.helpers import TINY, TINY_LAYERWISE, assert_same_bits, blobs
from tfcluster import DEC, ClusterGAN, InputError
from tfcluster.config import (
    DEC_PRESETS,
    GAN_PRESETS,
    SGD,
    Adam,
    DECConfig,
    EndToEnd,
    GANConfig,
    override,
)

SMALL_GAN = GANConfig(n_noise=3, steps=4, batch_size=8)
KINDS = {"DEC": (DEC, DECConfig), "ClusterGAN": (ClusterGAN, GANConfig)}
OTHERS = ["n_clusters", "preset", "standardize", "pretrain_epochs", "random_state"]

X, Y = blobs()


def small(kind, **arguments):
    preset = TINY if kind == "DEC" else SMALL_GAN
    return KINDS[kind][0](3, **{"preset": preset, "random_state": 0, **arguments})


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_is_an_argument_that_is_documented(kind):
    estimator, config = KINDS[kind]
    arguments = inspect.signature(estimator).parameters
    fields = [field.name for field in dataclasses.fields(config)]
    assert [name for name in arguments if name not in OTHERS] == fields
    assert all(arguments[name].default is None for name in (*fields, "random_state"))
    assert all(arguments[name].kind is inspect.Parameter.KEYWORD_ONLY for name in fields)
    documented = inspect.getdoc(estimator)
    assert all(f"\n  {name}: " in documented for name in arguments)


@pytest.mark.parametrize("kind", KINDS)
def test_without_arguments_the_preset_decides(kind):
    estimator, _ = KINDS[kind]
    presets = DEC_PRESETS if kind == "DEC" else GAN_PRESETS
    for name, config in presets.items():
        assert estimator(preset=name)._resolve_config() == config


def test_arguments_go_before_the_preset():
    arguments = {"dims": [8, 3], "alpha": 2, "optimizer": SGD(0.5), "pretrain_epochs": 0}
    found = DEC(preset="keras:mnist", **arguments)._resolve_config()
    preset = DEC_PRESETS["keras:mnist"]
    pretraining = dataclasses.replace(preset.pretraining, epochs=0)
    expected = {**arguments, "dims": (8, 3), "pretraining": pretraining}
    del expected["pretrain_epochs"]
    assert found == dataclasses.replace(preset, **expected)
    gan = ClusterGAN(preset="pendigits", beta_n=0, optimizer=Adam(1e-3), shuffle=True)
    assert gan._resolve_config() == dataclasses.replace(
        GAN_PRESETS["pendigits"], beta_n=0, optimizer=Adam(1e-3), shuffle=True
    )


def test_epochs_belong_to_the_pretraining_that_was_given():
    dec = DEC(preset="paper", pretraining=EndToEnd(5, shuffle=False), pretrain_epochs=7)
    assert dec._resolve_config().pretraining == EndToEnd(7, shuffle=False)
    with pytest.raises(InputError, match="`pretrain_epochs` needs end-to-end pretraining"):
        DEC(3, preset=TINY_LAYERWISE, pretrain_epochs=7).fit(X)


def test_numbers_of_numpy_are_numbers():
    dec = DEC(preset=TINY, dims=np.array([8, 3]), alpha=np.float64(2), tol=np.float32(0.5))
    dec.set_params(batch_size=np.int64(16), reset_optimizer=np.True_, target=np.str_("batch"))
    found = dec._resolve_config()
    expected = {"dims": (8, 3), "alpha": 2.0, "tol": 0.5, "batch_size": 16}
    expected |= {"reset_optimizer": True, "target": "batch"}
    assert found == dataclasses.replace(TINY, **expected)
    assert {type(getattr(found, name)) for name in expected} == {tuple, float, int, bool, str}
    assert DEC(dims=(np.int64(8), 3))._resolve_config().dims == (8, 3)


@pytest.mark.parametrize(
    ("kind", "arguments", "rule"),
    [
        ("DEC", {"alpha": 0}, "`alpha` must be positive"),
        ("DEC", {"dims": 5}, "`dims` must be a tuple"),
        ("DEC", {"pretrain_epochs": -1}, "`epochs` must not be negative"),
        ("DEC", {"optimizer": "adam"}, "`optimizer` must be SGD or Adam"),
        ("ClusterGAN", {"steps": 0}, "`steps` must be positive"),
        ("ClusterGAN", {"networks": "genes"}, "`networks` must be image or gene or pendigits"),
    ],
)
def test_values_are_checked_by_fit(kind, arguments, rule):
    estimator = small(kind, **arguments)  # the constructor only stores
    with pytest.raises(InputError, match=rule):
        estimator.fit(X)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_protocol_gives_the_same_bits(kind):
    """Whether it is a preset's or given as arguments."""
    estimator, config = KINDS[kind]
    preset = TINY if kind == "DEC" else SMALL_GAN
    arguments = {f.name: getattr(preset, f.name) for f in dataclasses.fields(config)}
    whole = small(kind).fit(X)
    parts = estimator(3, random_state=0, **arguments).fit(X)
    np.testing.assert_array_equal(whole.transform(X), parts.transform(X))
    np.testing.assert_array_equal(whole.labels_, parts.labels_)


@pytest.mark.parametrize("kind", KINDS)
def test_params_survive_clone_pickle_and_file(kind, tmp_path):
    arguments = {"batch_size": 16, "optimizer": Adam(1e-4), "preset": KINDS[kind][0]().preset}
    arguments |= {"dims": (4, 2), "pretrain_epochs": 2, "max_steps": 3} if kind == "DEC" else {}
    arguments |= {} if kind == "DEC" else {"steps": 3, "n_noise": 2}
    estimator = small(kind, **arguments)
    params = estimator.get_params()
    assert {name: params[name] for name in arguments} == arguments
    for before in (clone(estimator), pickle.loads(pickle.dumps(estimator))):
        assert before.get_params() == params
    estimator.fit(X)
    estimator.save(tmp_path / "model.npz")
    again = pickle.loads(pickle.dumps(estimator))
    for after in (again, KINDS[kind][0].load(tmp_path / "model.npz")):
        assert after.get_params() == params
        assert after.config_ == estimator.config_
        np.testing.assert_array_equal(after.predict(X), estimator.labels_)


def test_a_configuration_as_preset_survives_a_file_beside_arguments(tmp_path):
    dec = small("DEC", alpha=2.0).fit(X)
    dec.save(tmp_path / "dec.npz")
    loaded = DEC.load(tmp_path / "dec.npz")
    assert loaded.preset == TINY
    assert loaded.alpha == loaded.config_.alpha == 2.0
    assert_same_bits(dec, loaded)


@pytest.mark.filterwarnings("ignore::tfcluster.estimator.EmptyClusterWarning")
@pytest.mark.parametrize(
    ("kind", "grid"),
    [
        ("DEC", {"pretrain_epochs": [1, 2], "alpha": np.array([0.5, 1.0])}),
        ("ClusterGAN", {"steps": np.array([2, 4]), "beta_n": [0.0, 10.0]}),
    ],
)
def test_a_grid_search_reaches_them(kind, grid):
    search = GridSearchCV(small(kind), grid, scoring="normalized_mutual_info_score", cv=2)
    search.fit(X, Y)
    assert len(search.cv_results_["params"]) == 4
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    config = search.best_estimator_.config_
    for name, value in search.best_params_.items():
        found = config.pretraining.epochs if name == "pretrain_epochs" else getattr(config, name)
        assert found == value


@pytest.mark.parametrize("name", ["batch_size", "alpha", "dims", "scaling", "max_steps"])
def test_numbers_that_no_float_holds(name):
    value = 10**400
    with pytest.raises(InputError, match=f"`{name}` must be"):
        override(DECConfig(), {name: (value,) if name == "dims" else value})
