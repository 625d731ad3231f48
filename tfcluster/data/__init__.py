"""Data sets by name, and users' files."""

from tfcluster.data.dataset import Dataset, Picture
from tfcluster.data.loading import DATASETS, DatasetInfo, load_data, load_groups, make_synthetic
from tfcluster.data.table_options import TableOptions

__all__ = [
    "DATASETS",
    "Dataset",
    "DatasetInfo",
    "Picture",
    "TableOptions",
    "load_data",
    "load_groups",
    "make_synthetic",
]
