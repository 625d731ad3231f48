"""The command `tfcluster federate`; what it does is imported when it runs."""

from __future__ import annotations

import typer

from federated.cli.options import FederatedDECOptions, FederatedGANOptions, FederateExecution
from tfcluster.cli.commands import add_command

federate = typer.Typer(
    no_args_is_help=True, help="Train over clients that keep their data, and write a folder."
)
add_command(
    federate,
    "dec",
    "federated.cli.federate_dec:federate_dec",
    FederatedDECOptions,
    FederateExecution,
    help="Train DEC over clients, in rounds.",
    complete="tfcluster.cli.recorded_options:complete_options",
)
add_command(
    federate,
    "clustergan",
    "federated.cli.federate_clustergan:federate_clustergan",
    FederatedGANOptions,
    FederateExecution,
    help="Train ClusterGAN over clients, in rounds.",
    complete="tfcluster.cli.recorded_options:complete_options",
)
