"""Hyperparameters of the published protocols, each with the place it comes from.

Names:

* `"keras"` and `"paper"` are the protocols for data that the originals did not use;
* `"keras:mnist"`, `"paper:mnist"`, ... are the protocols for one data set.

Sources: `DEC.py` of XifengGuo/DEC-keras ("keras") and `dec/dec.py`, `dec/pretrain.py` and the
patched Caffe of piiswrong/dec, the paper's own code ("paper").
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping, Sequence
from typing import Any

from tfcluster.config.clustergan import GANConfig
from tfcluster.config.dec import DECConfig, EndToEnd, LayerWise
from tfcluster.config.optimizers import SGD
from tfcluster.config.overrides import apply_arguments
from tfcluster.errors import InputError, unknown_name

_NONE: Mapping[str, Any] = types.MappingProxyType({})

# DEC.py, `__main__`: this and the fan-in initializer for MNIST, Fashion and Reuters.
_KERAS_SGD = SGD(1.0, momentum=0.9)
_KERAS_IMAGES = DECConfig(
    initializer="fan_in_uniform",
    pretraining=EndToEnd(epochs=300, optimizer=_KERAS_SGD),
    update_interval=140,
)
# DEC.py: `pretrain(optimizer="adam", epochs=200)` are its defaults; `__main__` updates the target
# every 30 steps on all data sets but MNIST and Fashion.
_KERAS = DECConfig(update_interval=30)

# dec.py: biases learn at twice the rate, every update of the target starts a new solver, batches
# wrap around; euclidean_loss_layer.cu: half the mean squared error. `max_steps` is ours: the
# original continues until the labels settle.
_PAPER = DECConfig(
    initializer="normal",
    scaling="rms",
    pretraining=LayerWise(),
    reconstruction_weight=0.5,
    remainder="wrap",
    optimizer=SGD(0.01, momentum=0.9, bias_rate=2.0),
    reset_optimizer=True,
    update_interval=0,
)

DEC_PRESETS: Mapping[str, DECConfig] = types.MappingProxyType(
    {
        "keras": _KERAS,
        "keras:mnist": _KERAS_IMAGES,
        "keras:fashion_mnist": _KERAS_IMAGES,
        "keras:reuters10k": DECConfig(
            initializer="fan_in_uniform",
            pretraining=EndToEnd(epochs=50, optimizer=_KERAS_SGD),
            update_interval=30,
        ),
        "keras:usps": DECConfig(pretraining=EndToEnd(epochs=50), update_interval=30),
        "keras:stl10": DECConfig(pretraining=EndToEnd(epochs=10), update_interval=30),
        "paper": _PAPER,
        # make_mnist_data: 0.02 * pixel, which is 5.1 times a pixel in [0, 1].
        "paper:mnist": dataclasses.replace(_PAPER, scaling=5.1, update_interval=160),
        "paper:stl10": dataclasses.replace(_PAPER, update_interval=40),
        "paper:reuters10k": dataclasses.replace(_PAPER, update_interval=20),
    }
)

# sudiptodip15/ClusterGAN: Image_ClusterGAN.py, Gene_ClusterGAN.py, pen_ClusterGAN.py, README.
_GAN_FASHION = GANConfig(networks="image", n_noise=40, beta_n=0.0, shuffle=True)

GAN_PRESETS: Mapping[str, GANConfig] = types.MappingProxyType(
    {
        "mnist": GANConfig(networks="image", shuffle=True),
        "fashion_mnist": _GAN_FASHION,
        "fashion5": _GAN_FASHION,
        "10x_73k": GANConfig(steps=100_000),
        "pendigits": GANConfig(networks="pendigits", n_noise=5),
        # Not the authors': 8 x 8 digits, treated like Pendigits, which are digits of 8 points.
        "digits": GANConfig(networks="pendigits", n_noise=5, steps=20_000),
        "synthetic": GANConfig(networks="pendigits", n_noise=5, steps=20_000),
        "gene": GANConfig(steps=100_000),
    }
)


def get_dec_config(
    preset: str | DECConfig, dataset: str | None = None, arguments: Mapping[str, Any] = _NONE
) -> DECConfig:
    """Returns the configuration of DEC that a preset names.

    Args:
      preset: `"keras"`, `"paper"`, `"keras:mnist"`, ... or a configuration, returned unchanged.
      dataset: Name of a data set. A preset without one becomes its variant for this data set, if
        the original has one.
      arguments: Values that replace the preset's, e.g. `DEC.get_params()`; see `apply_arguments`.

    Raises:
      InputError: If there is no such preset, or a value breaks a rule.
    """
    names = [f"{preset}:{dataset}", preset]
    found = _find_config(preset, names, DEC_PRESETS, DECConfig)
    config: DECConfig = apply_arguments(found, arguments)
    return config


def get_gan_config(
    preset: str | GANConfig, dataset: str | None = None, arguments: Mapping[str, Any] = _NONE
) -> GANConfig:
    """Returns the configuration of ClusterGAN that a preset names.

    Args:
      preset: `"mnist"`, `"pendigits"`, ...; `"auto"` for that of the data set, or else `"gene"`,
        which takes samples of any width; or a configuration, returned unchanged.
      dataset: Name of a data set.
      arguments: Values that replace the preset's, e.g. `ClusterGAN.get_params()`; see
        `apply_arguments`.

    Raises:
      InputError: If there is no such preset, or a value breaks a rule.
    """
    names: list[Any] = [dataset, "gene"] if preset == "auto" else [preset]
    found = _find_config(preset, names, GAN_PRESETS, GANConfig)
    config: GANConfig = apply_arguments(found, arguments)
    return config


def _find_config(preset: Any, names: Sequence[Any], known: Mapping[str, Any], kind: type) -> Any:
    if isinstance(preset, kind):
        return preset
    if not isinstance(preset, str):
        raise InputError(f"`preset` must be a name or a {kind.__name__}. Received: {preset!r}.")
    for name in names:
        if name in known:
            return known[name]
    raise unknown_name("preset", preset, known)
