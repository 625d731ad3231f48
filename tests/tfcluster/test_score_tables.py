"""Tables of scores on the terminal."""

import io

import pytest
from rich.console import Console

from tfcluster.cli import published
from tfcluster.cli.score_tables import print_scores

SCORES = {
    "accuracy": 0.1234, "nmi": 0.2345, "ari": -0.3456, "purity": 0.4567, "silhouette": 0.5678,
    "calinski_harabasz": 1234.5, "davies_bouldin": 1.2345, "seconds": 6056,
}  # fmt: skip


@pytest.mark.parametrize("width", [80, 60])
def test_no_score_is_cut_on_a_narrow_terminal(width):
    file = io.StringIO()
    rows = {"back-propagation": SCORES, **published.find_clustergan_scores("pendigits")}
    print_scores(Console(file=file, width=width), rows, {})
    text = file.getvalue()
    assert "…" not in text
    figures = "0.123 0.234 -0.346 0.457 0.568 1234.5 1.234 6056"
    assert figures in " ".join(text.split())
