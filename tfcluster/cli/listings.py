"""`tfcluster datasets` and `tfcluster presets`: the names that options take."""

from __future__ import annotations

import dataclasses
from typing import Any

from rich.console import Console
from rich.table import Column, Table

from tfcluster.config.presets import DEC_PRESETS, GAN_PRESETS
from tfcluster.data.catalog import DATASETS

_SHOWN = {
    "DEC": ("update_interval", "max_steps", "batch_size"),
    "ClusterGAN": ("networks", "steps", "batch_size", "n_noise"),
}


def list_datasets(*, console: Console) -> None:
    """Prints the named data sets, for `--dataset`."""
    table = Table(Column("name", no_wrap=True), box=None, padding=(0, 2, 0, 0))
    for title in ("samples", "features", "classes"):
        table.add_column(title, justify="right")
    table.add_column("what")
    for name, info in DATASETS.items():
        numbers = (info.n_samples, info.n_features or "by file", info.n_classes)
        cells = (f"{n:,}" if isinstance(n, int) else n for n in numbers)
        table.add_row(name, *cells, info.description)
    console.print(table)


def list_presets(*, console: Console) -> None:
    """Prints the protocols of each algorithm, for `--preset`, with their most telling fields."""
    for algorithm, presets in (("DEC", DEC_PRESETS), ("ClusterGAN", GAN_PRESETS)):
        table = Table(
            Column(algorithm, no_wrap=True), *_SHOWN[algorithm], box=None, padding=(0, 2, 0, 0)
        )
        if algorithm == "DEC":
            table.add_column("pretraining")
        for name, config in presets.items():
            table.add_row(name, *_describe(config, _SHOWN[algorithm]))
        console.print(table)
    console.print("--set FIELD=VALUE changes a field.")


def _describe(config: Any, names: tuple[str, ...]) -> list[str]:
    cells = [f"{value:,}" if isinstance(value, int) else str(value)
             for value in (getattr(config, name) for name in names)]  # fmt: skip
    pretraining = getattr(config, "pretraining", None)
    if pretraining is not None:
        fields = dataclasses.fields(pretraining)
        counts = {f.name: getattr(pretraining, f.name) for f in fields}
        told = [f"{k} {v:,}" for k, v in counts.items() if type(v) is int]
        cells.append(f"{type(pretraining).__name__}, {', '.join(told)}")
    return cells
