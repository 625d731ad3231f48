"""The picture of cluster sizes during training."""

import numpy as np
import pytest
from matplotlib.image import imread

from tfcluster import plots
from tfcluster.plots import cluster_sizes

SIZES = [[3, 1, 0], [2, 2, 0], [4, 0, 0]]


@pytest.mark.parametrize("n_records", [0, 1, 3, 1_000])
def test_any_number_of_records(tmp_path, n_records):
    history = [{"step": 5 * i + 1, "cluster_sizes": SIZES[i % 3]} for i in range(n_records)]
    path = plots.draw_cluster_sizes(tmp_path / "sizes.png", [*history, {"step": 9}], unit="round")
    assert path.stat().st_size < 300_000
    assert imread(path).std() > 0


def test_evenness_and_white_cells(tmp_path, monkeypatch):
    """By hand: 3/4 and 1/4 of three have 0.562 of log 3 = 1.099; equal halves 0.693; one none."""
    figures = []
    monkeypatch.setattr(cluster_sizes, "save", lambda figure, path: figures.append(figure) or path)
    history = [{"step": i + 1, "cluster_sizes": sizes} for i, sizes in enumerate(SIZES)]
    plots.draw_cluster_sizes(tmp_path / "sizes.png", history)
    top, bottom = figures[0].axes[:2]
    np.testing.assert_allclose(bottom.lines[0].get_ydata(), [0.5119, 0.6309, 0], atol=1e-4)
    shares = top.collections[0].get_array().reshape(3, 3)
    assert shares.mask[2].all()
    np.testing.assert_allclose(shares[0], [0.75, 0.5, 1])
    assert "1 of 3 in use" in top.get_title(loc="left")
