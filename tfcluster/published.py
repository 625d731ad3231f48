"""Figures the originals published, to stand beside ours.

DEC: README of XifengGuo/DEC-keras (mean of ten runs), table 2 of Xie et al., ICML 2016 (best of
nine settings, accuracy only).
"""

from __future__ import annotations

import types
from collections.abc import Mapping

Scores = Mapping[str, float]


def _three(accuracy: float, nmi: float, ari: float) -> Scores:
    return types.MappingProxyType({"accuracy": accuracy, "nmi": nmi, "ari": ari})


def _one(accuracy: float) -> Scores:
    return types.MappingProxyType({"accuracy": accuracy})


DEC: Mapping[tuple[str, str], Mapping[str, Scores]] = types.MappingProxyType(
    {
        ("keras", "mnist"): {
            "AE + k-means": _three(0.879, 0.807, 0.783),
            "DEC": _three(0.912, 0.869, 0.856),
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
        ("paper", "mnist"): {"AE + k-means": _one(0.818), "DEC": _one(0.843)},
        ("paper", "stl10"): {"DEC": _one(0.359)},
        ("paper", "reuters10k"): {"DEC": _one(0.722)},
    }
)
"""(protocol, data set) to method to scores."""


def dec_lines(preset: str, dataset: str) -> Mapping[str, Scores]:
    """What was published for a protocol on a data set; empty if nothing was.

    Args:
      preset: `"keras"`, `"paper:mnist"`, ...
      dataset: Name of the data set.
    """
    return DEC.get((preset.partition(":")[0], dataset), {})
