"""What server and clients must agree on, and where a node's rows come from."""

import functools

import numpy as np
from flwr.app import Context, UserConfig
from sklearn.datasets import load_digits

from federated.core.phases import Phase
from federated.phases.dec import FederatedDECConfig, clustering_phases, pretraining_phases
from tfcluster.config import get_dec_config, override

N_FEATURES = 64


def load_rows(context: Context) -> np.ndarray:
    """Returns the rows of this node.

    Of a file of its own where the node was started with one, `--node-config 'data="mine.npy"'`; in
    a simulation, its part of the digits.
    """
    if "data" in context.node_config:
        return np.load(str(context.node_config["data"]))
    part, n_parts = (int(context.node_config[key]) for key in ("partition-id", "num-partitions"))
    return _read_digits()[part::n_parts]


@functools.cache
def _read_digits() -> np.ndarray:
    return load_digits().data


def build_config(options: UserConfig) -> FederatedDECConfig:
    """Returns the protocol that the run's configuration asks for."""
    return FederatedDECConfig(
        model=override(get_dec_config("keras"), {"dims": (128, 64, 10)}),
        standardize=True,
        pretrain_rounds=int(options["pretrain-rounds"]),
        rounds=int(options["rounds"]),
    )


def build_phases(options: UserConfig) -> list[Phase]:
    """Returns the phases of the run: scaling, pretraining, initial centroids, clustering."""
    config, seed = build_config(options), int(options["seed"])
    return [
        *pretraining_phases(N_FEATURES, config, seed),
        *clustering_phases(N_FEATURES, int(options["clusters"]), config, seed),
    ]
