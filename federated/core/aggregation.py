"""How the server makes new weights from the clients' updates: one class per rule.

A client's update is its trained weights minus those it was sent. Most rules take the weighted mean
of the updates; the robust ones take a statistic in its place that a few clients cannot move far.
All functions are pure, so that they run eagerly and inside a graph alike. A new rule is a
registered subclass in `AGGREGATIONS`.

Sources: McMahan et al., AISTATS 2017 (FedAvg); Hsu et al., arXiv:1909.06335 (FedAvgM); Reddi et
al., ICLR 2021 (FedAdagrad, FedAdam, FedYogi); Li et al., MLSys 2020 (FedProx); Yin et al., ICML
2018 (median, trimmed mean).
"""

from __future__ import annotations

import abc
import dataclasses
import math
import types
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import tensorflow as tf

from tfcluster.config import override, register
from tfcluster.errors import InputError, unknown_name

TensorList = Sequence[tf.Tensor]
"""Float32 and of static shape, one for each weight of the model and in their order."""


def _check(name: str, value: Any, below: float = math.inf, *, is_open: bool = False) -> None:
    """Raises `InputError` unless `value` is a number in [0, below), or (0, below) if open."""
    if type(value) not in (int, float) or not 0 <= value < below or (is_open and value == 0):
        span = f"{'(' if is_open else '['}0, {below})"
        raise InputError(f"`{name}` must be a number in {span}. Received: {value!r}.")


@dataclasses.dataclass(frozen=True)
class Aggregation(abc.ABC):
    """A rule and its hyperparameters.

    Attributes:
      name: Name of the rule, as on the command line.
      is_robust: Whether the rule needs every client's update (`combine`), not their mean alone.
      learning_rate: The server's step size, positive.
    """

    name: ClassVar[str]
    is_robust: ClassVar[bool] = False

    learning_rate: float = 1.0

    def __post_init__(self) -> None:
        _check("learning_rate", self.learning_rate, is_open=True)

    @property
    def proximal_strength(self) -> float:
        """Strength of FedProx's pull at the clients; 0 for other rules."""
        return 0.0

    def initial_slots(self, weights: TensorList) -> list[tf.Tensor]:
        """Returns what the rule remembers before the first round. By default, nothing."""
        del weights
        return []

    def step(
        self, mean_update: TensorList, slots: TensorList
    ) -> tuple[TensorList, list[tf.Tensor]]:
        """Returns the direction of the server's step, and the new slots.

        Args:
          mean_update: From `weighted_mean` or `combine`; the shapes of the weights.
          slots: From `initial_slots` or the round before.
        """
        del slots
        return mean_update, []

    def n_cut(self, n_kept: tf.Tensor) -> tf.Tensor:
        """Returns how many values a robust rule cuts off at each end of `n_kept` sorted ones."""
        del n_kept
        rule = "Only robust rules combine updates; others take `weighted_mean`."
        raise InputError(f"{rule} Received: {self.name!r}.")


@register
@dataclasses.dataclass(frozen=True)
class FedAvg(Aggregation):
    """The weighted mean of the updates (McMahan et al. 2017)."""

    name: ClassVar[str] = "fedavg"


@register
@dataclasses.dataclass(frozen=True)
class FedAvgM(Aggregation):
    """Server momentum (Hsu et al. 2019): step `v`, after `v <- momentum v + update`.

    Attributes:
      momentum: In [0, 1).
    """

    name: ClassVar[str] = "fedavgm"

    momentum: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        _check("momentum", self.momentum, 1)

    def initial_slots(self, weights: TensorList) -> list[tf.Tensor]:
        """Returns zeros in the shapes of the weights."""
        return [tf.zeros(weight.shape) for weight in weights]

    def step(
        self, mean_update: TensorList, slots: TensorList
    ) -> tuple[TensorList, list[tf.Tensor]]:
        """Returns the velocity, twice: as the step and as the slots."""
        velocity = [self.momentum * v + d for v, d in zip(slots, mean_update, strict=True)]
        return velocity, velocity


@dataclasses.dataclass(frozen=True)
class _Adaptive(Aggregation):
    """Algorithm 2 of Reddi et al. 2021, which corrects no bias.

    The step is `m / (sqrt(v) + tau)`, after `m <- beta_1 m + (1 - beta_1) update` and the
    subclass's `v`, which starts at tau^2.

    Attributes:
      beta_1: Decay of the mean update, in [0, 1).
      tau: Added to the root, positive.
    """

    # Section 5 of Reddi et al.: beta_1, beta_2 and tau. They tune the learning rate.
    learning_rate: float = 1e-2
    beta_1: float = 0.9
    tau: float = 1e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        _check("beta_1", self.beta_1, 1)
        _check("tau", self.tau, is_open=True)

    def initial_slots(self, weights: TensorList) -> list[tf.Tensor]:
        """Returns the zeros of m, then v = tau^2."""
        starts = (0.0, self.tau**2)
        return [tf.fill(weight.shape, start) for start in starts for weight in weights]

    def step(
        self, mean_update: TensorList, slots: TensorList
    ) -> tuple[TensorList, list[tf.Tensor]]:
        """Returns the adaptive step, and the new m and v."""
        n = len(mean_update)
        pairs = zip(slots[n:], mean_update, strict=True)
        second = [self._second_moment(v, tf.square(d)) for v, d in pairs]
        b = self.beta_1
        first = [b * m + (1 - b) * d for m, d in zip(slots[:n], mean_update, strict=True)]
        steps = [m / (tf.sqrt(v) + self.tau) for m, v in zip(first, second, strict=True)]
        return steps, first + second

    @abc.abstractmethod
    def _second_moment(self, v: tf.Tensor, square: tf.Tensor) -> tf.Tensor:
        """Returns the new v, from the old one and the update's square."""


@register
@dataclasses.dataclass(frozen=True)
class FedAdam(_Adaptive):
    """`v <- beta_2 v + (1 - beta_2) update^2`; see `_Adaptive`.

    Attributes:
      beta_2: Decay of the squares, in [0, 1).
    """

    name: ClassVar[str] = "fedadam"

    beta_2: float = 0.99

    def __post_init__(self) -> None:
        super().__post_init__()
        _check("beta_2", self.beta_2, 1)

    def _second_moment(self, v: tf.Tensor, square: tf.Tensor) -> tf.Tensor:
        return self.beta_2 * v + (1 - self.beta_2) * square


@register
@dataclasses.dataclass(frozen=True)
class FedYogi(_Adaptive):
    """`v <- v - (1 - beta_2) update^2 sign(v - update^2)`; see `_Adaptive`.

    Attributes:
      beta_2: As of FedAdam.
    """

    name: ClassVar[str] = "fedyogi"

    beta_2: float = 0.99

    def __post_init__(self) -> None:
        super().__post_init__()
        _check("beta_2", self.beta_2, 1)

    def _second_moment(self, v: tf.Tensor, square: tf.Tensor) -> tf.Tensor:
        return v - (1 - self.beta_2) * square * tf.sign(v - square)


@register
@dataclasses.dataclass(frozen=True)
class FedAdagrad(_Adaptive):
    """`v <- v + update^2`; see `_Adaptive`. Without momentum by default, as in the paper."""

    name: ClassVar[str] = "fedadagrad"

    beta_1: float = 0.0

    def _second_moment(self, v: tf.Tensor, square: tf.Tensor) -> tf.Tensor:
        return v + square


@register
@dataclasses.dataclass(frozen=True)
class FedProx(Aggregation):
    """FedAvg, with a pull of the clients towards the weights they were sent (Li et al. 2020).

    Attributes:
      proximal: Strength mu of the pull, at least 0; at 0 the rule is FedAvg.
    """

    name: ClassVar[str] = "fedprox"

    proximal: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        _check("proximal", self.proximal)

    @property
    def proximal_strength(self) -> float:
        """Strength of the pull."""
        return self.proximal


@register
@dataclasses.dataclass(frozen=True)
class Median(Aggregation):
    """The coordinate-wise median of the updates, unweighted (Yin et al. 2018)."""

    name: ClassVar[str] = "median"
    is_robust: ClassVar[bool] = True

    def n_cut(self, n_kept: tf.Tensor) -> tf.Tensor:
        """Returns `(n - 1) // 2`: one or two values are left."""
        return tf.maximum(n_kept - 1, 0) // 2


@register
@dataclasses.dataclass(frozen=True)
class TrimmedMean(Aggregation):
    """The coordinate-wise trimmed mean of the updates, unweighted (Yin et al. 2018).

    Attributes:
      trim: Share of clients cut at each end, in [0, 0.5).
    """

    name: ClassVar[str] = "trimmed_mean"
    is_robust: ClassVar[bool] = True

    trim: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        _check("trim", self.trim, 0.5)

    def n_cut(self, n_kept: tf.Tensor) -> tf.Tensor:
        """Returns `floor(trim n)`."""
        # in float64: float32 rounds some products to another whole number
        return tf.cast(tf.floor(self.trim * tf.cast(n_kept, tf.float64)), tf.int32)


AGGREGATIONS: Mapping[str, Aggregation] = types.MappingProxyType(
    {
        rule.name: rule
        for rule in (
            FedAvg(), FedAvgM(), FedAdam(), FedYogi(), FedAdagrad(), FedProx(), Median(),
            TrimmedMean(),
        )
    }
)  # fmt: skip
"""Every rule with its defaults, by name."""


def find_aggregation(name_or_rule: str | Aggregation, **fields: Any) -> Aggregation:
    """Returns the rule of that name, or the rule itself, with some fields changed.

    Raises:
      InputError: If there is no such rule or field, or a value is out of its range.
    """
    rule = name_or_rule
    if not isinstance(rule, Aggregation):
        if not isinstance(rule, str) or rule not in AGGREGATIONS:
            raise unknown_name("aggregation", str(rule), AGGREGATIONS)
        rule = AGGREGATIONS[rule]
    changed: Aggregation = override(rule, fields)
    return changed


def server_step(
    rule: Aggregation, weights: TensorList, mean_update: TensorList, slots: TensorList
) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
    """Returns new weights, `w <- w + learning_rate step`, and new slots.

    Args:
      rule: The rule.
      weights: The weights the clients started from.
      mean_update: From `weighted_mean` or `combine`; the shapes of `weights`.
      slots: From `Aggregation.initial_slots` or the round before.

    Raises:
      InputError: If the slots are another rule's.
    """
    expected = len(rule.initial_slots(weights))
    if len(slots) != expected:
        raise InputError(
            f"{rule.name!r} keeps {expected} slots, from `initial_slots`. Received: {len(slots)}."
        )
    steps, new_slots = rule.step(mean_update, slots)
    new = [w + rule.learning_rate * step for w, step in zip(weights, steps, strict=True)]
    return new, new_slots


def combine(rule: Aggregation, updates: TensorList, keep: tf.Tensor) -> list[tf.Tensor]:
    """Returns the median or trimmed mean of the clients' updates, coordinate by coordinate.

    Both are the mean of the sorted values that are left when some are cut off at each end.

    Args:
      rule: A robust rule.
      updates: A tensor `(n_clients, ...)` per weight; `n_clients` may be unknown in a graph.
      keep: `(n_clients,)` booleans; where it is False the client does not count.

    Returns:
      A tensor `(...)` per weight; zeros if no client counts.

    Raises:
      InputError: If the rule is not robust.
    """
    n_kept = tf.reduce_sum(tf.cast(keep, tf.int32))
    cut = rule.n_cut(n_kept)
    return [_mean_of_sorted(update, keep, slice(cut, n_kept - cut)) for update in updates]


def _mean_of_sorted(update: tf.Tensor, keep: tf.Tensor, places: slice) -> tf.Tensor:
    """Returns the mean of these places of what is kept, each coordinate sorted by itself."""
    mask = tf.reshape(keep, [-1] + [1] * (len(update.shape) - 1))
    # infinity sorts what is left out behind everything, out of reach of `places`
    values = tf.sort(tf.where(mask, update, math.inf), axis=0)[places]
    count = tf.cast(places.stop - places.start, tf.float32)
    mean = tf.math.divide_no_nan(tf.reduce_sum(values, axis=0), count)
    return tf.ensure_shape(mean, update.shape[1:])


def weighted_mean(weighted_updates: TensorList, total_weight: tf.Tensor) -> list[tf.Tensor]:
    """Returns `sum_k n_k update_k / sum_k n_k`, or zeros if no client took part.

    Args:
      weighted_updates: Sums over clients of weight times update.
      total_weight: `()`, the sum of the clients' weights, e.g. their samples.
    """
    weight = tf.cast(total_weight, tf.float32)
    return [tf.math.divide_no_nan(total, weight) for total in weighted_updates]


def proximal_gradients(
    mu: float, gradients: TensorList, weights: TensorList, start_weights: TensorList
) -> list[tf.Tensor]:
    """Returns gradients of FedProx's local loss, `f(w) + mu / 2 |w - w_start|^2`.

    Args:
      mu: Strength of the pull; at 0 the gradients stay as they are.
      gradients: Gradients of the algorithm's own loss `f`.
      weights: The client's weights now.
      start_weights: The weights the client was sent.
    """
    if mu == 0:
        return list(gradients)
    terms = zip(gradients, weights, start_weights, strict=True)
    return [gradient + mu * (weight - start) for gradient, weight, start in terms]
