"""`tfcluster predict`: labels for new rows."""

from __future__ import annotations

from pathlib import Path

from tfcluster.data import load_data
from tfcluster.dec import DEC
from tfcluster.errors import InputError
from tfcluster.runs import RunFolder, label_table


def predict_file(run: Path, file: str) -> str:
    """Labels the rows of a file with a finished run's model.

    Args:
      run: Folder that `tfcluster train` wrote.
      file: What `load_data` takes.

    Returns:
      CSV text: row, label, and q of the label.

    Raises:
      InputError: If the run is not finished, or the rows are not like those it was trained on.
    """
    folder = RunFolder.open(run)
    model = folder.path / "model.npz"
    if not model.exists():
        raise InputError(
            f"{run} is not finished, or compares numbers of clusters. Finish it by --resume, or "
            "train one number of clusters."
        )
    q = DEC.load(model).soft_assign(load_data(file).X)
    labels = q.argmax(axis=1)
    return label_table(zip(range(len(q)), labels.tolist(), q.max(axis=1).tolist(), strict=True))
