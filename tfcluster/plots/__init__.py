"""Pictures of a run: embedding, confusion, training curves, confident rows, numbers of clusters.

Each function takes arrays, writes one PNG of at most 300 KB and returns its path.
"""

from tfcluster.plots.lines import cluster_numbers, curves
from tfcluster.plots.matrices import confusion
from tfcluster.plots.rows import top_confidence
from tfcluster.plots.scatter import embedding

__all__ = ["cluster_numbers", "confusion", "curves", "embedding", "top_confidence"]
