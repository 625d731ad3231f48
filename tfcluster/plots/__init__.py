"""Pictures of a run: its clusters, its training, and the samples its generator makes.

Each function takes arrays or records, writes one PNG of at most 300 KB and returns its path.

Raises:
  InputError: On import, where matplotlib or pillow is not installed.
"""

from tfcluster.errors import InputError

try:
    import matplotlib  # noqa: F401
    import PIL  # noqa: F401
except ImportError as error:
    raise InputError(
        f"Pictures need matplotlib and pillow, which cannot be imported ({error}). Install them: "
        "pip install matplotlib pillow."
    ) from error

from tfcluster.plots.cluster_sizes import draw_cluster_sizes
from tfcluster.plots.confusion import draw_confusion
from tfcluster.plots.embedding import draw_embedding
from tfcluster.plots.generated_samples import (
    draw_generated_samples,
    draw_interpolation,
    draw_reconstructions,
)
from tfcluster.plots.n_clusters import draw_n_clusters
from tfcluster.plots.partition import draw_partition
from tfcluster.plots.profile import draw_profile
from tfcluster.plots.top_confidence import draw_top_confidence
from tfcluster.plots.training_curves import draw_adversarial_curves, draw_training_curves
from tfcluster.plots.trials import draw_trials

__all__ = [
    "draw_adversarial_curves",
    "draw_cluster_sizes",
    "draw_confusion",
    "draw_embedding",
    "draw_generated_samples",
    "draw_interpolation",
    "draw_n_clusters",
    "draw_partition",
    "draw_profile",
    "draw_reconstructions",
    "draw_top_confidence",
    "draw_training_curves",
    "draw_trials",
]
