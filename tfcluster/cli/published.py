"""Scores that the originals published.

DEC: README of XifengGuo/DEC-keras (mean of ten runs; on MNIST also their range), table 2 of Xie et
al., ICML 2016 (best of nine settings, accuracy only).

ClusterGAN: README of sudiptodip15/ClusterGAN (ten runs), tables of Mukherjee et al., AAAI 2019
(the one of five models with the best validation purity).
"""

from __future__ import annotations

import types
from collections.abc import Mapping

Scores = Mapping[str, float]


def _three(accuracy: float, nmi: float, ari: float) -> Scores:
    return types.MappingProxyType({"accuracy": accuracy, "nmi": nmi, "ari": ari})


def _one(accuracy: float) -> Scores:
    return types.MappingProxyType({"accuracy": accuracy})


def _purity(purity: float, nmi: float, ari: float, *deviations: float) -> Scores:
    """Returns scores of ClusterGAN: what its paper calls ACC, its code computes as purity."""
    names = ("purity", "nmi", "ari", "purity_sd", "nmi_sd", "ari_sd")
    return types.MappingProxyType(dict(zip(names, (purity, nmi, ari, *deviations), strict=False)))


DEC: Mapping[tuple[str, str], Mapping[str, Scores]] = types.MappingProxyType(
    {
        ("keras", "mnist"): {
            "AE + k-means": _three(0.879, 0.807, 0.783),
            "DEC": types.MappingProxyType(
                {**_three(0.912, 0.869, 0.856), "accuracy_low": 0.830, "accuracy_high": 0.964}
            ),
        },
        ("keras", "fashion_mnist"): {
            "AE + k-means": _three(0.606, 0.637, 0.474),
            "DEC": _three(0.618, 0.651, 0.494),
        },
        ("keras", "usps"): {
            "AE + k-means": _three(0.709, 0.684, 0.588),
            "DEC": _three(0.764, 0.787, 0.707),
        },
        ("keras", "stl10"): {
            "AE + k-means": _three(0.786, 0.725, 0.639),
            "DEC": _three(0.859, 0.820, 0.776),
        },
        ("keras", "reuters10k"): {
            "AE + k-means": _three(0.763, 0.519, 0.573),
            "DEC": _three(0.778, 0.571, 0.600),
        },
        ("paper", "mnist"): {
            "AE + k-means": _one(0.818),
            "DEC, encoder frozen": _one(0.798),
            "DEC": _one(0.843),
        },
        ("paper", "stl10"): {"DEC": _one(0.359)},
        ("paper", "reuters10k"): {"DEC": _one(0.722)},
    }
)
"""(protocol, data set) to method to scores; a mean may come with its range."""

DEC_KINDS: Mapping[str, str] = types.MappingProxyType(
    {"keras": "DEC-keras, mean of 10", "paper": "paper, best of 9 settings"}
)
"""Protocol to a description of its scores."""

MEAN_OF_TEN = "authors' code, mean of 10"
BEST_OF_FIVE = "paper, best of 5"

CLUSTERGAN: Mapping[str, Mapping[str, Scores]] = types.MappingProxyType(
    {
        # The paper's synthetic samples were not published: ours come from the same distribution.
        "synthetic": {BEST_OF_FIVE: _purity(0.99, 0.99, 0.99)},
        "mnist": {
            MEAN_OF_TEN: _purity(0.910, 0.854, 0.829, 0.040, 0.036, 0.062),
            BEST_OF_FIVE: _purity(0.95, 0.89, 0.89),
        },
        "fashion_mnist": {
            MEAN_OF_TEN: _purity(0.612, 0.616, 0.462, 0.023, 0.011, 0.023),
            BEST_OF_FIVE: _purity(0.63, 0.64, 0.50),
        },
        "fashion5": {
            MEAN_OF_TEN: _purity(0.722, 0.616, 0.504, 0.009, 0.024, 0.023),
            BEST_OF_FIVE: _purity(0.73, 0.59, 0.48),
        },
        "10x_73k": {
            MEAN_OF_TEN: _purity(0.817, 0.727, 0.679, 0.026, 0.032, 0.037),
            BEST_OF_FIVE: _purity(0.81, 0.73, 0.67),
        },
        "pendigits": {
            MEAN_OF_TEN: _purity(0.764, 0.734, 0.634, 0.012, 0.012, 0.018),
            BEST_OF_FIVE: _purity(0.77, 0.73, 0.65),
        },
    }
)
"""Data set to method to scores; a mean comes with its standard deviations."""


def find_dec_scores(preset: str, dataset: str) -> Mapping[str, Scores]:
    """Returns the published scores of DEC on a data set.

    Args:
      preset: `"keras"`, `"paper:mnist"`, ...
      dataset: Name of the data set.

    Returns:
      Method to scores; empty if none were published.
    """
    return DEC.get((preset.partition(":")[0], dataset), {})


def find_clustergan_scores(dataset: str) -> Mapping[str, Scores]:
    """Returns the published scores of ClusterGAN on a data set.

    Args:
      dataset: Name of the data set, which is also that of its preset.

    Returns:
      Method to `purity`, `nmi` and `ari`; a mean also has `purity_sd`, `nmi_sd` and `ari_sd`.
      Empty if none were published.
    """
    return CLUSTERGAN.get(dataset, {})
