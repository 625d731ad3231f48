"""Hyperparameters of the published protocols, each with the place it comes from.

A configuration is a frozen dataclass; change one with `dataclasses.replace`. Names:

* `"keras"` and `"paper"` are the protocols for data the originals did not see;
* `"keras:mnist"`, `"paper:mnist"`, ... are the protocols for one data set.

Sources: `DEC.py` of XifengGuo/DEC-keras ("keras") and `dec/dec.py`, `dec/pretrain.py` and the
patched Caffe of piiswrong/dec, the paper's own code ("paper").
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar

from tfcluster.errors import InputError, unknown_name


def _require(condition: bool, rule: str, **received: Any) -> None:
    if not condition:
        values = ", ".join(f"{name}={value!r}" for name, value in received.items())
        raise InputError(f"{rule} Received: {values}.")


_NUMBERS: Mapping[Any, tuple[tuple[type, ...], str]] = types.MappingProxyType(
    {
        int: ((int,), "a whole number"),
        float: ((int, float), "a finite number"),
        bool: ((bool,), "True or False"),
    }
)


def check_types(config: Any) -> None:
    """Sees to it that every field holds what its annotation says."""
    for name, kind in typing.get_type_hints(type(config)).items():
        value, choices = getattr(config, name), typing.get_args(kind)
        if kind in _NUMBERS:
            kinds, words = _NUMBERS[kind]
            holds = type(value) in kinds and math.isfinite(value)
        elif typing.get_origin(kind) is Literal:
            holds, words = value in choices, " or ".join(choices)
        elif all(dataclasses.is_dataclass(choice) for choice in choices or (kind,)):
            holds = isinstance(value, choices or kind)
            words = " or ".join(choice.__name__ for choice in choices or (kind,))
        else:
            continue
        _require(holds, f"`{name}` must be {words}.", **{name: value})


def _check_positive(config: Any, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        _require(value > 0, f"`{name}` must be positive.", **{name: value})


def _check_not_negative(config: Any, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        _require(value >= 0, f"`{name}` must not be negative.", **{name: value})


def _check_below_one(config: Any, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        _require(0 <= value < 1, f"`{name}` must be in [0, 1).", **{name: value})


@dataclasses.dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent with momentum, as Keras and Caffe both write it.

    Attributes:
      learning_rate: Step size, positive.
      momentum: In [0, 1).
      bias_rate: What the learning rate of biases is multiplied by (Caffe's `blobs_lr`).
      momentum_ramp: Steps over which momentum grows from 0 to `momentum`, linearly.
      decay_every: Steps after which the learning rate is divided by ten; 0 for never.
    """

    learning_rate: float
    momentum: float = 0.0
    bias_rate: float = 1.0
    momentum_ramp: int = 0
    decay_every: int = 0

    def __post_init__(self) -> None:
        check_types(self)
        _check_positive(self, "learning_rate", "bias_rate")
        _check_below_one(self, "momentum")
        _check_not_negative(self, "momentum_ramp", "decay_every")


@dataclasses.dataclass(frozen=True)
class Adam:
    """Adam in TensorFlow's form, where epsilon is added to the uncorrected root.

    Attributes:
      learning_rate: Step size, positive.
      beta_1: Decay of the first moment, in [0, 1).
      beta_2: Decay of the second moment, in [0, 1).
      epsilon: Added to the root of the second moment; Keras' default is 1e-7.
    """

    learning_rate: float = 1e-3
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7

    def __post_init__(self) -> None:
        check_types(self)
        _check_positive(self, "learning_rate", "epsilon")
        _check_below_one(self, "beta_1", "beta_2")


@dataclasses.dataclass(frozen=True)
class EndToEnd:
    """Pretraining of DEC-keras: the whole autoencoder at once, no noise.

    Attributes:
      epochs: Passes over the data.
      optimizer: The optimiser, fresh at the start.
      shuffle: Whether rows are reshuffled every epoch (the default of Keras' `fit`).
    """

    epochs: int = 200
    optimizer: SGD | Adam = Adam()
    shuffle: bool = True

    def __post_init__(self) -> None:
        check_types(self)
        _check_not_negative(self, "epochs")


@dataclasses.dataclass(frozen=True)
class LayerWise:
    """Pretraining of the paper: one denoising autoencoder per layer, then end to end.

    Attributes:
      steps_per_layer: Steps for each layer's own autoencoder.
      finetune_steps: Steps for the whole autoencoder afterwards, without dropout.
      dropout: Share dropped of a layer's input (not of the data themselves, whose
        dropout is 0 in `pretrain.py`) and of its code (not of the embedding).
      optimizer: The optimiser, fresh at the start of every stage.
    """

    steps_per_layer: int = 50_000
    finetune_steps: int = 100_000
    dropout: float = 0.2
    optimizer: SGD | Adam = SGD(
        0.1, momentum=0.9, bias_rate=2.0, momentum_ramp=1000, decay_every=20_000
    )

    def __post_init__(self) -> None:
        check_types(self)
        _check_not_negative(self, "steps_per_layer", "finetune_steps")
        _check_below_one(self, "dropout")


@dataclasses.dataclass(frozen=True)
class DECConfig:
    """Hyperparameters of DEC.

    Attributes:
      dims: Units of the encoder's layers; the last is the embedding.
      initializer: How weights start: "glorot_uniform"; "fan_in_uniform", uniform with limit
        sqrt(1 / fan_in); or "normal", N(0, 0.01). Biases start at zero.
      scaling: What features are multiplied by before anything else: a number, or "rms" for
        the factor that makes the mean of x^2 one on the data of `fit`.
      pretraining: `EndToEnd` or `LayerWise`.
      reconstruction_weight: Factor of the mean squared error (Caffe's loss has 1/2).
      alpha: Degrees of freedom of Student's t, positive.
      kmeans_restarts: Restarts of the k-means that gives the first centres.
      batch_size: Rows a step, in every phase.
      remainder: What happens to the rows that do not fill a batch: "short" takes a short
        batch at the end of a pass (Keras), "wrap" goes on with the first rows (Caffe).
      optimizer: Optimiser of the clustering phase.
      reset_optimizer: Whether it starts afresh whenever the target is updated; the paper's
        code starts a new solver there.
      update_interval: Steps between two updates of the target; 0 for one pass.
      target: "global" for eq. 3 of the paper over all rows; "batch" computes it within each
        batch, as pt-dec does, which is not DEC and is here for comparison.
      tol: Training stops when a smaller share of labels changed between two updates.
      max_steps: Bound on the steps of the clustering phase.
      precision: "bfloat16" takes the products of all layers but the embedding's in it; weights,
        biases, embeddings, losses and optimisers stay in float32.
    """

    dims: tuple[int, ...] = (500, 500, 2000, 10)
    initializer: Literal["glorot_uniform", "fan_in_uniform", "normal"] = "glorot_uniform"
    scaling: float | Literal["rms"] = 1.0
    pretraining: EndToEnd | LayerWise = EndToEnd()
    reconstruction_weight: float = 1.0
    alpha: float = 1.0
    kmeans_restarts: int = 20
    batch_size: int = 256
    remainder: Literal["short", "wrap"] = "short"
    optimizer: SGD | Adam = SGD(0.01, momentum=0.9)
    reset_optimizer: bool = False
    update_interval: int = 140
    target: Literal["global", "batch"] = "global"
    tol: float = 1e-3
    max_steps: int = 20_000
    precision: Literal["float32", "bfloat16"] = "float32"

    def __post_init__(self) -> None:
        check_types(self)
        _require(
            isinstance(self.dims, tuple)
            and len(self.dims) > 0
            and all(type(units) is int and units > 0 for units in self.dims),
            "`dims` must be a tuple of at least one layer size, all whole and positive.",
            dims=self.dims,
        )
        _require(
            self.scaling == "rms"
            or (type(self.scaling) in (int, float) and 0 < self.scaling < math.inf),
            "`scaling` must be 'rms' or a positive number.",
            scaling=self.scaling,
        )
        _check_positive(self, "reconstruction_weight", "alpha", "kmeans_restarts", "batch_size")
        _check_not_negative(self, "update_interval", "max_steps")
        _require(0 <= self.tol <= 1, "`tol` is a share and must be in [0, 1].", tol=self.tol)


# DEC.py, `__main__`: this and the fan-in initialiser for MNIST, Fashion and Reuters.
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
# wrap round; euclidean_loss_layer.cu: half the mean squared error. `max_steps` is ours: the
# original goes on until the labels settle.
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


@dataclasses.dataclass(frozen=True)
class GANConfig:
    """Hyperparameters of ClusterGAN.

    Attributes:
      networks: "image" (28 x 28, convolutions), "gene" (any width, linear output) or "pendigits"
        (any width in [0, 1], normalised layers, sigmoid output).
      n_noise: Length of z_n.
      beta_n: Weight of recovering z_n.
      beta_c: Weight of recovering z_c.
      noise_scale: Standard deviation of z_n.
      critic_steps: Steps of the critic for each step of generator and encoder.
      batch_size: Rows a step.
      penalty: Weight of the gradient penalty.
      epsilon_per_row: Whether each row is interpolated by a number of its own (the Wasserstein
        GAN paper) instead of one for the batch (the original's code).
      weight_decay: Factor of half the squared kernels; the original declares 2.5e-5 and never
        adds it.
      optimizer: One for the critic, one for generator and encoder together.
      steps: Steps of generator and encoder, at least one.
      shuffle: Whether batches walk through reshuffled epochs (images) instead of being drawn with
        replacement (Pendigits and genes).
      precision: "bfloat16" takes all products in it, at a third of the time on processors that
        have them in hardware; weights, normalisation and losses stay in float32.
    """

    networks: Literal["image", "gene", "pendigits"] = "gene"
    n_noise: int = 30
    beta_n: float = 10.0
    beta_c: float = 10.0
    noise_scale: float = 0.10
    critic_steps: int = 5
    batch_size: int = 64
    penalty: float = 10.0
    epsilon_per_row: bool = False
    weight_decay: float = 0.0
    optimizer: Adam = Adam(1e-4, beta_1=0.5, beta_2=0.9, epsilon=1e-8)
    steps: int = 500_000
    shuffle: bool = False
    precision: Literal["float32", "bfloat16"] = "float32"

    def __post_init__(self) -> None:
        check_types(self)
        _check_positive(self, "n_noise", "critic_steps", "batch_size", "steps")
        _check_not_negative(self, "beta_n", "beta_c", "noise_scale", "penalty", "weight_decay")

    @property
    def has_large_products(self) -> bool:
        """Whether a product is worth several threads: those on images are, of 0.8 GFLOP each."""
        return self.networks == "image"


# sudiptodip15/ClusterGAN: Image_ClusterGAN.py, Gene_ClusterGAN.py, pen_ClusterGAN.py, README.
_GAN_FASHION = GANConfig(networks="image", n_noise=40, beta_n=0.0, shuffle=True)

GAN_PRESETS: Mapping[str, GANConfig] = types.MappingProxyType(
    {
        "mnist": GANConfig(networks="image", shuffle=True),
        "fashion_mnist": _GAN_FASHION,
        "fashion5": _GAN_FASHION,
        "10x_73k": GANConfig(steps=100_000),
        "pendigits": GANConfig(networks="pendigits", n_noise=5),
        # Not the authors': 8 x 8 digits as they treat Pendigits, which are digits of 8 points.
        "digits": GANConfig(networks="pendigits", n_noise=5, steps=20_000),
        "synthetic": GANConfig(networks="pendigits", n_noise=5, steps=20_000),
        "gene": GANConfig(steps=100_000),
    }
)


def dec_config(preset: str | DECConfig, dataset: str | None = None) -> DECConfig:
    """The configuration of DEC a preset names.

    Args:
      preset: `"keras"`, `"paper"`, `"keras:mnist"`, ... or a configuration, returned as it is.
      dataset: Name of a data set; a protocol named alone becomes its own form for that data
        set where the original has one.

    Raises:
      InputError: If there is no such preset.
    """
    names = [f"{preset}:{dataset}", preset]
    config: DECConfig = _config(preset, names, DEC_PRESETS, DECConfig)
    return config


def gan_config(preset: str | GANConfig, dataset: str | None = None) -> GANConfig:
    """The configuration of ClusterGAN a preset names.

    Args:
      preset: `"mnist"`, `"pendigits"`, ...; `"auto"` for that of the data set, or else `"gene"`,
        which takes rows of any width; or a configuration, returned as it is.
      dataset: Name of a data set.

    Raises:
      InputError: If there is no such preset.
    """
    names: list[Any] = [dataset, "gene"] if preset == "auto" else [preset]
    config: GANConfig = _config(preset, names, GAN_PRESETS, GANConfig)
    return config


def _config(preset: Any, names: Sequence[Any], known: Mapping[str, Any], kind: type) -> Any:
    if isinstance(preset, kind):
        return preset
    if not isinstance(preset, str):
        raise InputError(f"`preset` must be a name or a {kind.__name__}. Received: {preset!r}.")
    for name in names:
        if name in known:
            return known[name]
    raise unknown_name("preset", preset, known)


_KINDS: dict[str, type] = {
    kind.__name__: kind for kind in (SGD, Adam, EndToEnd, LayerWise, DECConfig, GANConfig)
}

Kind = TypeVar("Kind", bound=type)


def register(kind: Kind) -> Kind:
    """A class decorator: `from_dict` knows this dataclass of plain values too."""
    _KINDS[kind.__name__] = kind
    return kind


def to_dict(config: Any) -> dict[str, Any]:
    """A configuration as nested plain values, each dataclass with its `kind`."""
    values: dict[str, Any] = {"kind": type(config).__name__}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        values[field.name] = to_dict(value) if dataclasses.is_dataclass(value) else value
    return values


def from_dict(values: Mapping[str, Any]) -> Any:
    """The configuration that `to_dict` wrote."""
    fields = {name: value for name, value in values.items() if name != "kind"}
    for name, value in fields.items():
        if isinstance(value, Mapping):
            fields[name] = from_dict(value)
        elif isinstance(value, list):
            fields[name] = tuple(value)
    return _KINDS[values["kind"]](**fields)


def override(config: Any, assignments: Mapping[str, Any]) -> Any:
    """A configuration with some fields changed.

    Args:
      config: Any configuration of this module.
      assignments: Field to value; a dot reaches into a part (`"pretraining.epochs"`).

    Raises:
      InputError: If there is no such field, or a value breaks a rule.
    """
    for path, value in assignments.items():
        config = _override_one(config, path, value)
    return config


def _override_one(config: Any, path: str, value: Any) -> Any:
    name, _, rest = path.partition(".")
    known = [field.name for field in dataclasses.fields(config)]
    if name not in known:
        raise unknown_name(f"field of {type(config).__name__}", name, known)
    current = getattr(config, name)
    if rest:
        if not dataclasses.is_dataclass(current):
            raise InputError(
                f"`{name}` has no parts, so `{path}` means nothing. Set `{name}` itself."
            )
        value = _override_one(current, rest, value)
    elif isinstance(current, tuple) and isinstance(value, list):
        value = tuple(value)
    return dataclasses.replace(config, **{name: value})
