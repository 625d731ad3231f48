"""Data sets by name, and users' files."""

from tfcluster.data.dataset import Dataset, Picture
from tfcluster.data.loading import DATASETS, DatasetInfo, load_data, load_groups, make_synthetic

__all__ = [
    "DATASETS",
    "Dataset",
    "DatasetInfo",
    "Picture",
    "load_data",
    "load_groups",
    "make_synthetic",
]
