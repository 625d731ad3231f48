import dataclasses
import json

import pytest

from tfcluster.config import (
    DEC_PRESETS,
    SGD,
    Adam,
    DECConfig,
    EndToEnd,
    LayerWise,
    from_dict,
    get_dec_config,
    override,
    to_dict,
)
from tfcluster.errors import InputError


@pytest.mark.parametrize("name", DEC_PRESETS)
def test_json_round_trip(name):
    config = DEC_PRESETS[name]
    assert from_dict(json.loads(json.dumps(to_dict(config)))) == config


@pytest.mark.parametrize(
    ("name", "epochs", "optimizer", "interval"),
    [
        ("keras:mnist", 300, SGD(1.0, 0.9), 140),
        ("keras:fashion_mnist", 300, SGD(1.0, 0.9), 140),
        ("keras:reuters10k", 50, SGD(1.0, 0.9), 30),
        ("keras:usps", 50, Adam(), 30),
        ("keras:stl10", 10, Adam(), 30),
    ],
)
def test_table_of_dec_keras(name, epochs, optimizer, interval):
    config = DEC_PRESETS[name]
    assert config.pretraining == EndToEnd(epochs, optimizer)
    assert config.update_interval == interval
    assert config.optimizer == SGD(0.01, 0.9)
    assert (config.batch_size, config.tol, config.max_steps) == (256, 1e-3, 20_000)


@pytest.mark.parametrize(("name", "interval"), [("mnist", 160), ("stl10", 40), ("reuters10k", 20)])
def test_table_of_the_paper(name, interval):
    config = DEC_PRESETS[f"paper:{name}"]
    assert config.update_interval == interval
    assert isinstance(config.pretraining, LayerWise)
    assert config.pretraining.steps_per_layer == 50_000
    assert config.pretraining.finetune_steps == 100_000
    assert config.pretraining.optimizer.decay_every == 20_000
    assert config.optimizer == SGD(0.01, 0.9, bias_rate=2.0)


def test_0_02_per_pixel():
    assert DEC_PRESETS["paper:mnist"].scaling * (1 / 255) == pytest.approx(0.02)


def test_a_protocol_without_a_data_set_takes_its_variant():
    assert get_dec_config("keras", "mnist") == DEC_PRESETS["keras:mnist"]
    assert get_dec_config("keras", "digits") == DEC_PRESETS["keras"]
    assert get_dec_config("keras:usps", "mnist") == DEC_PRESETS["keras:usps"]
    config = DECConfig(alpha=2.0)
    assert get_dec_config(config) is config


def test_unknown_names():
    with pytest.raises(InputError, match="Did you mean 'paper'"):
        get_dec_config("papers")
    with pytest.raises(InputError, match="DECConfig"):
        get_dec_config(3)


def test_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        DEC_PRESETS["keras"].alpha = 2.0
    with pytest.raises(TypeError):
        DEC_PRESETS["keras"] = None


def test_override():
    config = override(
        DECConfig(), {"tol": 0.01, "pretraining.optimizer.learning_rate": 0.5, "dims": [4, 2]}
    )
    assert config.tol == 0.01
    assert config.pretraining.optimizer.learning_rate == 0.5
    assert config.dims == (4, 2)


@pytest.mark.parametrize(
    ("assignments", "rule"),
    [
        ({"toll": 1}, "Did you mean 'tol'"),
        ({"pretraining.epoch": 1}, "Did you mean 'epochs'"),
        ({"tol.x": 1}, "has no parts"),
        ({"tol": 2}, r"must be in \[0, 1\]"),
        ({"alpha": 0}, "`alpha` must be positive"),
        ({"dims": ()}, "at least one layer"),
        ({"scaling": "max"}, "'rms' or a positive number"),
        ({"pretraining.epochs": -1}, "must not be negative"),
        ({"pretraining.epochs": "many"}, "whole number"),
        ({"max_steps": 10.5}, "whole number"),
        ({"tol": "small"}, "number"),
        ({"pretraining": 3}, "EndToEnd or LayerWise"),
        ({"dims": 5}, "tuple"),
        ({"dims": {16, 4}}, "tuple"),
        ({"dims": (True, 3)}, "tuple"),
        ({"scaling": float("inf")}, "'rms' or a positive number"),
        ({"alpha": float("inf")}, "finite"),
        ({"reconstruction_weight": -1}, "must be positive"),
        ({"optimizer": Adam(), "optimizer.beta_1": 7}, "`beta_1`"),
        ({"optimizer": "adam"}, "SGD or Adam"),
        ({"pretraining.optimizer": "adam"}, "SGD or Adam"),
    ],
)
def test_bad_values_are_named(assignments, rule):
    with pytest.raises(InputError, match=rule):
        override(DECConfig(), assignments)
