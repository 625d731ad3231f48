"""The differences between Keras 2 (TensorFlow up to 2.15) and Keras 3 that reach this package.

TensorFlow Federated runs on TensorFlow 2.14 and nothing newer. When it moves, delete this module:
each function says what takes its place.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def negative_slope(layer: tf.keras.layers.LeakyReLU) -> float:
    """Returns the slope of a leaky ReLU below zero.

    Keras 2 calls it `alpha`; Keras 3 calls it `negative_slope`, which takes the place of this.
    """
    return float(layer.negative_slope if hasattr(layer, "negative_slope") else layer.alpha)


def unwrap_variable(variable: Any) -> tf.Variable:
    """Returns TensorFlow's variable behind a Keras variable, for functions of TensorFlow 1.

    In Keras 2 they are the same; in Keras 3 it is `variable.value`, which takes the place of this.
    """
    return variable if isinstance(variable, tf.Variable) else variable.value
