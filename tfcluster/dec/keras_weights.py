"""Reads weights that DEC-keras saved, by the names of layers."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import h5py
import numpy as np

from tfcluster.errors import InputError

LayerWeights = dict[str, dict[str, np.ndarray]]


def read_layers(path: str | os.PathLike[str]) -> LayerWeights:
    """Reads an HDF5 file of Keras weights, or of a whole model.

    Args:
      path: A file of `save_weights` or `save` of Keras 1 or 2.

    Returns:
      Arrays by weight name (`kernel`, `bias`, `clusters`) by layer name.

    Raises:
      InputError: If the file is missing or not such a file.
    """
    try:
        with h5py.File(path, "r") as file:
            layers: LayerWeights = {}
            group = file.get("model_weights", file)
            for layer, weight, array in _iterate_arrays(group):
                layers.setdefault(layer, {})[weight] = array
    except OSError as error:
        raise InputError(
            f"Cannot read {path} as an HDF5 file of Keras weights: {error}."
        ) from error
    return layers


def _iterate_arrays(group: h5py.Group) -> Iterator[tuple[str, str, np.ndarray]]:
    for layer, content in group.items() if isinstance(group, h5py.Group) else ():
        if not isinstance(content, h5py.Group):
            continue
        found: list[tuple[str, h5py.Dataset]] = []
        content.visititems(lambda name, item, found=found: found.append((name, item)))
        for name, item in found:
            if isinstance(item, h5py.Dataset):
                # "encoder_0/kernel:0", or "encoder_0_W_1:0" as Keras 1 named it
                yield layer, name.split("/")[-1].split(":")[0], item[()]


def read_model(
    path: str | os.PathLike[str],
) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
    """Reads a model of DEC-keras (`DEC_model_final.h5`).

    Args:
      path: HDF5 file with the layers `encoder_i`, `clustering` and perhaps `decoder_i`.

    Returns:
      Kernels and biases of the encoder; of the decoder, empty without one; and the centroids,
      `(n_clusters, n_units)`.

    Raises:
      InputError: If the file is missing or has no such layers.
    """
    layers = read_layers(path)
    encoder = get_encoder(layers)
    centroids = layers.get("clustering", {}).get("clusters")
    if not encoder or centroids is None:
        raise InputError(
            f"{path} must hold the layers `encoder_i` and `clustering`. Received: "
            f"{', '.join(sorted(layers)) or 'no layers'}. An autoencoder alone is for "
            "`fit(X, pretrained=path)`."
        )
    return encoder, get_decoder(layers), centroids


def get_encoder(layers: LayerWeights) -> list[np.ndarray]:
    """Returns kernels and biases of `encoder_0`, `encoder_1`, ...; empty if there are none.

    Raises:
      InputError: If a layer lacks its kernel or bias.
    """
    return _get_stack(layers, "encoder")


def get_decoder(layers: LayerWeights) -> list[np.ndarray]:
    """Returns kernels and biases of `decoder_n`, ..., `decoder_0`, as data pass through them.

    Raises:
      InputError: If a layer lacks its kernel or bias.
    """
    return _get_stack(layers, "decoder", descending=True)


def _get_stack(layers: LayerWeights, prefix: str, *, descending: bool = False) -> list[np.ndarray]:
    numbers = [int(m[1]) for name in layers if (m := re.fullmatch(rf"{prefix}_(\d+)", name))]
    weights = []
    for number in sorted(numbers, reverse=descending):
        layer = layers[f"{prefix}_{number}"]
        if not {"kernel", "bias"} <= layer.keys():
            raise InputError(
                f"Layer {prefix}_{number} must hold `kernel` and `bias`. Received: {sorted(layer)}."
            )
        weights += [layer["kernel"], layer["bias"]]
    return weights
