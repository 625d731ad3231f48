"""What is printed about the clients before anything is trained."""

from __future__ import annotations

from rich.console import Console

from federated.cli.options import FederateOptions
from federated.data.federated_dataset import FederatedDataset
from tfcluster.cli.cluster_tables import print_partition
from tfcluster.cli.samples import show_scaling
from tfcluster.cli.tables import show_tables


def show_clients(options: FederateOptions, dataset: FederatedDataset, console: Console) -> None:
    """Prints what the columns of tables were taken as, and each client's samples of each class.

    Args:
      options: What is asked for.
      dataset: The clients.
      console: Where to print.
    """
    show_tables(console, dataset.tables)
    standardize = options.decide_standardize(dataset.has_units)
    show_scaling(console, (x for x, _ in dataset.clients), standardize)
    print_partition(console, dataset.counts(), dataset.names, dataset.classes or ("samples",))
