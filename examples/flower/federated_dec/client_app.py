"""A node: its own rows, and nothing else."""

from federated.backends.flower import client_app
from federated_dec.task import load_rows

app = client_app(load_rows, n_threads=1)
