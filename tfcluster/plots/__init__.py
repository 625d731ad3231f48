"""Pictures of a run: what was found, how training went, and what a generator makes.

Each function takes arrays or records, writes one PNG of at most 300 KB and returns its path.
"""

from tfcluster.plots.clients import partition
from tfcluster.plots.cluster_profile import profile
from tfcluster.plots.dots import trials
from tfcluster.plots.generated import interpolation, reconstructions, samples
from tfcluster.plots.lines import adversarial_curves, cluster_numbers, curves
from tfcluster.plots.matrices import confusion
from tfcluster.plots.rows import top_confidence
from tfcluster.plots.scatter import embedding
from tfcluster.plots.use import cluster_use

__all__ = [
    "adversarial_curves",
    "cluster_numbers",
    "cluster_use",
    "confusion",
    "curves",
    "embedding",
    "interpolation",
    "partition",
    "profile",
    "reconstructions",
    "samples",
    "top_confidence",
    "trials",
]
