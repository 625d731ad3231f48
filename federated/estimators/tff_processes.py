"""Federated DEC and ClusterGAN as iterative processes, in a TFF project of one's own.

The processes know no algorithm (`federated.backends.tff`), the phases no backend
(`federated.phases`); here the two meet. `examples/tff/` shows them in use.
"""

from __future__ import annotations

from federated.backends.tff.phase_processes import PhaseProcesses
from federated.core.phases import Phase
from federated.phases.clustergan import FederatedGANConfig, build_gan_phases
from federated.phases.dec import FederatedDECConfig, clustering_phases, pretraining_phases
from tfcluster.errors import InputError
from tfcluster.validation import check_n_clusters


def build_processes(
    config: FederatedDECConfig | FederatedGANConfig,
    n_features: int,
    n_clusters: int,
    seed: int = 0,
) -> list[PhaseProcesses]:
    """Returns all phases of federated DEC or ClusterGAN, their rounds as iterative processes.

    Each client scales its samples by `Scaling.from_artifacts(artifacts)`, with what all finished
    phases left, before it takes part in a phase. At the end, the artifacts are those of
    `clustering_phases` or `build_gan_phases`, e.g. for `DEC.from_weights`.

    Args:
      config: The protocol.
      n_features: Features of a sample.
      n_clusters: Clusters to find.
      seed: Seed of the initial weights and of what the server draws. What clients draw depends on
        the seeds in their `SamplesInput`.

    Raises:
      InputError: If `config` is of another type, or `n_clusters` is no number of clusters.
    """
    check_n_clusters(n_clusters)
    phases: list[Phase]
    if isinstance(config, FederatedDECConfig):
        phases = [
            *pretraining_phases(n_features, config, seed),
            *clustering_phases(n_features, n_clusters, config, seed),
        ]
    elif isinstance(config, FederatedGANConfig):
        phases = build_gan_phases(n_features, n_clusters, config, seed)
    else:
        raise InputError(
            "`config` must be a `FederatedDECConfig` or a `FederatedGANConfig`. "
            f"Received: {config!r}."
        )
    return [PhaseProcesses(phase) for phase in phases]
