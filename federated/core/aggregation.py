"""How the server makes new weights from the clients' updates, by name.

A client's delta is its trained weights minus those it was sent. Most rules take the deltas'
weighted mean; the robust ones a statistic in its place that a few clients cannot move far. All
functions are pure, so that they run eagerly and inside a graph alike.

Sources: McMahan et al., AISTATS 2017 (FedAvg); Hsu et al., arXiv:1909.06335 (FedAvgM); Reddi et
al., ICLR 2021 (FedAdagrad, FedAdam, FedYogi); Li et al., MLSys 2020 (FedProx); Yin et al., ICML
2018 (median, trimmed mean).
"""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from tfcluster.config import override, register
from tfcluster.errors import InputError, unknown_name

Tensors = Sequence[tf.Tensor]
"""Float32 and of static shape, one for each weight of the model and in their order."""

# What a rule reads besides `learning_rate`, and how many tensors it remembers for each weight.
_RULES: dict[str, tuple[tuple[str, ...], int]] = {
    "fedavg": ((), 0),
    "fedavgm": (("momentum",), 1),
    "fedadam": (("beta_1", "beta_2", "tau"), 2),
    "fedyogi": (("beta_1", "beta_2", "tau"), 2),
    "fedadagrad": (("beta_1", "tau"), 2),
    "fedprox": (("proximal",), 0),
    "median": ((), 0),
    "trimmed_mean": (("trim",), 0),
}
_POSITIVE = ("learning_rate", "tau")
_BELOW = {"momentum": 1, "beta_1": 1, "beta_2": 1, "trim": 0.5}


@register
@dataclasses.dataclass(frozen=True)
class Aggregation:
    """A rule and its numbers; those the rule does not read must keep their defaults.

    Attributes:
      name: "fedavg", "fedavgm", "fedadam", "fedyogi", "fedadagrad", "fedprox", "median" or
        "trimmed_mean".
      learning_rate: The server's step size, positive.
      momentum: Of FedAvgM, in [0, 1).
      beta_1: Decay of the mean delta in the adaptive rules, in [0, 1).
      beta_2: Decay of its square in FedAdam and FedYogi, in [0, 1).
      tau: Added to the root in the adaptive rules, positive; their squares start at tau^2.
      proximal: mu of FedProx, at least 0, where it is FedAvg.
      trim: Share of clients cut at each end by the trimmed mean, in [0, 0.5).

    Raises:
      InputError: If there is no such rule, or a number is out of its range or not read.
    """

    name: str = "fedavg"
    learning_rate: float = 1.0
    momentum: float = 0.0
    beta_1: float = 0.9
    beta_2: float = 0.99
    tau: float = 1e-3
    proximal: float = 0.0
    trim: float = 0.0

    def __post_init__(self) -> None:
        _check_name(self.name)
        for field in dataclasses.fields(self)[1:]:
            _check_number(self.name, field, getattr(self, field.name))


def _check_name(name: Any) -> None:
    if not isinstance(name, str) or name not in _RULES:
        raise unknown_name("aggregation", str(name), _RULES)


def _check_number(rule: str, field: dataclasses.Field[Any], value: Any) -> None:
    name, is_open, top = field.name, field.name in _POSITIVE, _BELOW.get(field.name, math.inf)
    if type(value) not in (int, float) or not 0 <= value < top or (is_open and value == 0):
        span = f"{'(' if is_open else '['}0, {top})"
        raise InputError(f"`{name}` must be a number in {span}. Received: {value!r}.")
    if value != field.default and name not in ("learning_rate", *_RULES[rule][0]):
        readers = ", ".join(known for known, (fields, _) in _RULES.items() if name in fields)
        raise InputError(
            f"`{name}` is for {readers}, not for {rule!r}. Received: {value!r}. Leave it out."
        )


# Reddi et al., section 5: beta_1, beta_2 and tau, and no momentum for Adagrad. They tune the
# learning rates, as Li et al. tune mu; those, and the share to trim, are common choices.
AGGREGATIONS: Mapping[str, Aggregation] = types.MappingProxyType(
    {
        "fedavg": Aggregation("fedavg"),
        "fedavgm": Aggregation("fedavgm", momentum=0.9),
        "fedadam": Aggregation("fedadam", 1e-2),
        "fedyogi": Aggregation("fedyogi", 1e-2),
        "fedadagrad": Aggregation("fedadagrad", 1e-2, beta_1=0.0),
        "fedprox": Aggregation("fedprox", proximal=0.01),
        "median": Aggregation("median"),
        "trimmed_mean": Aggregation("trimmed_mean", trim=0.2),
    }
)


def aggregation(name_or_config: str | Aggregation, **overrides: Any) -> Aggregation:
    """The rule of that name with its defaults, or a rule as it is, with some fields changed.

    Raises:
      InputError: If there is no such rule or field, or a value breaks a rule.
    """
    config = name_or_config
    if not isinstance(config, Aggregation):
        _check_name(config)
        config = AGGREGATIONS[config]
    return override(config, overrides)


def initial_slots(config: Aggregation, weights: Tensors) -> list[tf.Tensor]:
    """What the rule remembers before the first round, for `server_step`.

    Returns:
      As long as `weights` for FedAvgM: zeros in their shapes. Twice as long for the adaptive
      rules: the zeros of m, then v = tau^2. Otherwise empty.
    """
    starts = (0.0, config.tau**2)[: _RULES[config.name][1]]
    return [tf.fill(weight.shape, start) for start in starts for weight in weights]


def server_step(
    config: Aggregation, weights: Tensors, mean_delta: Tensors, slots: Tensors
) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
    """New weights: `w <- w + learning_rate step`, with the rule's own step.

    FedAvgM: `v`, after `v <- momentum v + delta`. FedAdagrad, FedAdam and FedYogi (algorithm 2 of
    Reddi et al., which corrects no bias): `m / (sqrt(v) + tau)`, after
    `m <- beta_1 m + (1 - beta_1) delta` and the `v` of `_second_moment`. Others: `delta`.

    Args:
      config: The rule.
      weights: The weights the clients started from.
      mean_delta: From `weighted_mean` or `combine`; the shapes of `weights`.
      slots: From `initial_slots` or the round before.

    Returns:
      The new weights and the new slots.

    Raises:
      InputError: If the slots are another rule's.
    """
    n, n_slots = len(weights), _RULES[config.name][1]
    if len(slots) != n * n_slots:
        rule = f"{config.name!r} keeps {n * n_slots} slots, from `initial_slots`."
        raise InputError(f"{rule} Received: {len(slots)}.")
    first, second, steps = list(slots[:n]), list(slots[n:]), list(mean_delta)
    if n_slots == 1:
        steps = first = [config.momentum * v + d for v, d in zip(first, steps, strict=True)]
    elif n_slots == 2:
        second = [_second_moment(config, v, d) for v, d in zip(second, steps, strict=True)]
        b = config.beta_1
        first = [b * m + (1 - b) * d for m, d in zip(first, steps, strict=True)]
        steps = [m / (tf.sqrt(v) + config.tau) for m, v in zip(first, second, strict=True)]
    new = [w + config.learning_rate * step for w, step in zip(weights, steps, strict=True)]
    return new, first + second


def _second_moment(config: Aggregation, v: tf.Tensor, delta: tf.Tensor) -> tf.Tensor:
    """`v + d^2`, or `v - (1 - beta_2) d^2 sign(v - d^2)`, or `beta_2 v + (1 - beta_2) d^2`."""
    square = tf.square(delta)
    if config.name == "fedadagrad":
        return v + square
    if config.name == "fedyogi":
        return v - (1 - config.beta_2) * square * tf.sign(v - square)
    return config.beta_2 * v + (1 - config.beta_2) * square


def is_robust(config: Aggregation) -> bool:
    """Whether the rule needs every client's delta (`combine`) and not their mean alone."""
    return config.name in ("median", "trimmed_mean")


def combine(config: Aggregation, deltas: Tensors, keep: tf.Tensor) -> list[tf.Tensor]:
    """The median or trimmed mean of the clients' deltas, each coordinate alone, unweighted.

    Of n sorted values, both are the mean of what is left when some are cut off at each end:
    `(n - 1) // 2` by the median, `floor(trim n)` by the trimmed mean.

    Args:
      config: A robust rule.
      deltas: One tensor `(n_clients, ...)` a weight; `n_clients` need not be known in a graph.
      keep: `(n_clients,)` booleans; a row where it is False does not count, whatever it holds.

    Returns:
      A tensor `(...)` a weight; zeros if no row counts.

    Raises:
      InputError: If the rule is not robust.
    """
    if not is_robust(config):
        rule = "Only 'median' and 'trimmed_mean' combine; others take `weighted_mean`."
        raise InputError(f"{rule} Received: {config.name!r}.")
    kept = tf.reduce_sum(tf.cast(keep, tf.int32))
    if config.name == "median":
        cut = tf.maximum(kept - 1, 0) // 2
    else:  # in float64: float32 rounds some products to another whole number
        cut = tf.cast(tf.floor(config.trim * tf.cast(kept, tf.float64)), tf.int32)
    return [_mean_of_rows(delta, keep, slice(cut, kept - cut)) for delta in deltas]


def _mean_of_rows(delta: tf.Tensor, keep: tf.Tensor, rows: slice) -> tf.Tensor:
    """The mean of these rows of what is kept, each coordinate sorted by itself."""
    mask = tf.reshape(keep, [-1] + [1] * (len(delta.shape) - 1))
    # infinity sorts what is left out behind everything, out of reach of `rows`
    values = tf.sort(tf.where(mask, delta, math.inf), axis=0)[rows]
    count = tf.cast(rows.stop - rows.start, tf.float32)
    mean = tf.math.divide_no_nan(tf.reduce_sum(values, axis=0), count)
    return tf.ensure_shape(mean, delta.shape[1:])


def weighted_mean(total_weighted_delta: Tensors, total_weight: tf.Tensor) -> list[tf.Tensor]:
    """The mean delta, `sum_k n_k delta_k / sum_k n_k`; zeros if no client took part.

    Args:
      total_weighted_delta: The sum over clients of weight times delta.
      total_weight: `()`, the sum of the clients' weights, as their examples.
    """
    weight = tf.cast(total_weight, tf.float32)
    return [tf.math.divide_no_nan(total, weight) for total in total_weighted_delta]


def proximal_gradients(
    mu: float, gradients: Tensors, weights: Tensors, start_weights: Tensors
) -> list[tf.Tensor]:
    """Gradients of FedProx's local loss, `f(w) + mu / 2 |w - w_start|^2`: `g + mu (w - w_start)`.

    Args:
      mu: `Aggregation.proximal`; at 0 the gradients stay as they are.
      gradients: Of the algorithm's own loss `f`.
      weights: The client's weights now.
      start_weights: The weights the client was sent.
    """
    if mu == 0:
        return list(gradients)
    terms = zip(gradients, weights, start_weights, strict=True)
    return [gradient + mu * (weight - start) for gradient, weight, start in terms]
