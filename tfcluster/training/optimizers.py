"""Optimizers on TensorFlow's fused kernels, with their whole state in variables.

Keras' optimizers give the same values in five passes over memory instead of one, and have neither
Caffe's momentum ramp nor its rate for biases.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from tfcluster.config import SGD, Adam


class Optimizer:
    """Base of the optimizers: slots per variable and a step counter; `apply` takes one step.

    Args:
      variables: The trainable variables, in the order of the gradients.
      n_slots: Slots per variable.
    """

    def __init__(self, variables: Sequence[tf.Variable], n_slots: int) -> None:
        self.trainable = list(variables)
        self.slots = [
            [tf.Variable(tf.zeros(v.shape), trainable=False) for v in self.trainable]
            for _ in range(n_slots)
        ]
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False)

    @property
    def variables(self) -> list[tf.Variable]:
        """The step counter and all slots, which a checkpoint must hold."""
        return [self.step, *(slot for slots in self.slots for slot in slots)]

    def reset(self) -> None:
        """Sets the step counter and all slots to zero."""
        for variable in self.variables:
            variable.assign(tf.zeros_like(variable))

    def apply(self, gradients: Sequence[tf.Tensor]) -> None:
        """Takes one step along the gradients, in the order of the variables."""
        raise NotImplementedError


class SGDOptimizer(Optimizer):
    """SGD with momentum: `v <- momentum v - rate g`, `w <- w + v`; see `config.SGD`."""

    def __init__(self, config: SGD, variables: Sequence[tf.Variable]) -> None:
        super().__init__(variables, n_slots=1)
        self.config = config

    def apply(self, gradients: Sequence[tf.Tensor]) -> None:
        """Takes one step along the gradients, in the order of the variables."""
        rate, momentum = self._rate(), self._momentum()
        for variable, slot, gradient in zip(self.trainable, self.slots[0], gradients, strict=True):
            is_bias = len(variable.shape) == 1
            tf.raw_ops.ResourceApplyKerasMomentum(
                var=variable.handle,
                accum=slot.handle,
                lr=rate * self.config.bias_rate if is_bias else rate,
                grad=gradient,
                momentum=momentum,
            )
        self.step.assign_add(1)

    def _rate(self) -> tf.Tensor:
        rate = tf.constant(self.config.learning_rate, tf.float32)
        if not self.config.decay_every:
            return rate
        decays = tf.cast(self.step // self.config.decay_every, tf.float32)
        return rate * tf.pow(0.1, decays)

    def _momentum(self) -> tf.Tensor:
        momentum = tf.constant(self.config.momentum, tf.float32)
        if not self.config.momentum_ramp:
            return momentum
        return momentum * tf.minimum(
            1.0, tf.cast(self.step, tf.float32) / self.config.momentum_ramp
        )


class AdamOptimizer(Optimizer):
    """Adam in TensorFlow's form; see `config.Adam`."""

    def __init__(self, config: Adam, variables: Sequence[tf.Variable]) -> None:
        super().__init__(variables, n_slots=2)
        self.config = config

    def apply(self, gradients: Sequence[tf.Tensor]) -> None:
        """Takes one step along the gradients, in the order of the variables."""
        t = tf.cast(self.step + 1, tf.float32)
        for variable, m, v, gradient in zip(self.trainable, *self.slots, gradients, strict=True):
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=m.handle,
                v=v.handle,
                beta1_power=tf.pow(self.config.beta_1, t),
                beta2_power=tf.pow(self.config.beta_2, t),
                lr=self.config.learning_rate,
                beta1=self.config.beta_1,
                beta2=self.config.beta_2,
                epsilon=self.config.epsilon,
                grad=gradient,
            )
        self.step.assign_add(1)


def build_optimizer(config: SGD | Adam, variables: Sequence[tf.Variable]) -> Optimizer:
    """Returns the optimizer of a configuration for these variables."""
    if isinstance(config, SGD):
        return SGDOptimizer(config, variables)
    return AdamOptimizer(config, variables)
