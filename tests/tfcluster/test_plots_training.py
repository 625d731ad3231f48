"""Pictures of training: losses, scores, trials, numbers of clusters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from tests.tfcluster.plot_helpers import (
    colors,
    labels_at_left,
)
from tfcluster import plots
from tfcluster.plots import training_curves


def history() -> list[dict[str, Any]]:
    pretraining: list[dict[str, Any]] = [
        {"phase": phase, "step": step, "loss": 1 / (1 + step)}
        for phase in ("layer 1", "layer 2", "finetune")
        for step in range(5)
    ]
    cluster: list[dict[str, Any]] = [
        {"phase": "cluster", "step": s, "loss": 0.5 - s / 100} for s in range(5)
    ]
    return [*pretraining, *cluster, {"phase": "cluster", "step": 4, "changed": 0.0}]


@pytest.mark.parametrize("tol", [None, 0.001])
def test_curves(png: Path, tol: float | None) -> None:
    plots.draw_training_curves(png, history(), tol=tol)
    assert colors(png) > 10


@pytest.mark.parametrize(
    "records",
    [
        [],
        history()[:5],
        history()[15:20],
        [{"phase": "cluster", "step": 0, "changed": 0.2}],
        [{"phase": "pretrain", "step": 1, "loss": 0.0}],
        [{"phase": "pretrain", "step": 1, "loss": float("nan")}, {"phase": "gan", "critic": 1}],
    ],
)
def test_curves_leave_out_what_is_missing(png: Path, records: list[dict[str, Any]]) -> None:
    plots.draw_training_curves(png, records)
    assert colors(png) > 3


def test_phases_follow_one_another() -> None:
    records = [{"phase": p, "step": s, "loss": 1.0} for p in "abc" for s in (5, 10)]
    steps = {name: s.tolist() for name, (s, _) in training_curves._collect_phases(records).items()}
    assert steps == {"a": [5, 10], "b": [15, 20], "c": [25, 30]}


def test_scores_by_number_of_clusters(png: Path, figures: list[Figure]) -> None:
    records = [
        {"n_clusters": k, "silhouette": -abs(k - 4), "davies_bouldin": float("nan"), "stability": k}
        for k in (5, 2, 4)
    ]
    plots.draw_n_clusters(png, records, recommended=4)
    assert colors(png) > 10
    silhouette, stability = figures[0].axes
    assert np.transpose(silhouette.lines[1].get_data()).tolist() == [[2, -2], [4, 0], [5, -1]]
    assert silhouette.get_title(loc="left") == "Best at 4 (higher is better)"
    assert stability.get_title(loc="left") == "Best at 5 (higher is better)"
    assert all(set(ax.lines[0].get_xdata()) == {4} for ax in figures[0].axes)


def test_numbers_of_clusters_without_scores_are_drawn(png: Path) -> None:
    plots.draw_n_clusters(png, [{"n_clusters": 2, "silhouette": None}])
    assert colors(png) > 3


def adversarial(n: int, **scores: float) -> list[dict[str, Any]]:
    """Records of losses, the first huge, every tenth with scores."""
    return [
        {"phase": "adversarial", "step": 200 * i, "of": 200 * n, "seconds": 1.2 * i}
        | {"loss": 1e4 if i == 1 else np.sin(i), "critic_loss": -0.01 * np.cos(i)}
        | (scores if i % 10 == 0 else {})
        for i in range(1, n + 1)
    ]


def test_adversarial_curves_share_steps(png: Path, figures: list[Figure]) -> None:
    plots.draw_adversarial_curves(png, adversarial(50, purity=0.7, ari=0.5, accuracy_of_tea=2))
    assert colors(png) > 10
    _, critic, scores = figures[0].axes
    assert critic.get_xlim() == scores.get_xlim()
    lines = {line.get_label(): np.transpose(line.get_data()).tolist() for line in scores.lines}
    assert list(lines) == ["purity", "ARI"]
    assert lines["ARI"] == [[step, 0.5] for step in (2000, 4000, 6000, 8000, 10000)]
    assert critic.lines[0].get_ydata()[6] == pytest.approx(-0.01 * np.cos(7))


@pytest.mark.parametrize("n", [50, 5_000])
def test_a_huge_loss_does_not_flatten_the_rest(png: Path, figures: list[Figure], n: int) -> None:
    plots.draw_adversarial_curves(png, adversarial(n))
    loss, critic = figures[0].axes  # no panel of scores
    low, high = loss.get_ylim()
    assert -5 < low < -0.99 < 0.99 < high < 5
    assert f"outside: 1 of {n:,} records" in loss.get_ylabel()
    assert critic.get_ylabel() == "loss"


def test_many_losses_become_medians_and_a_band(png: Path, figures: list[Figure]) -> None:
    plots.draw_adversarial_curves(png, adversarial(5_000))
    ax, values = figures[0].axes[0], np.sin(np.arange(26, 51))
    steps, medians = ax.lines[0].get_data()
    assert len(steps) == 200
    assert steps[:2].tolist() == [200 * 13, 200 * 38]
    assert medians[1] == pytest.approx(np.median(values))
    corners = ax.collections[0].get_paths()[0].vertices
    band = np.unique(corners[corners[:, 0] == steps[1], 1])
    np.testing.assert_allclose(band, np.quantile(values, [0.05, 0.95]))


@pytest.mark.parametrize(
    ("records", "panels"),
    [
        ([], 1),
        ([{"phase": "cluster", "step": 1, "loss": 1.0}], 1),
        ([{"phase": "adversarial", "step": 1, "loss": 1.0, "critic_loss": float("nan")}], 1),
        ([{"phase": "adversarial", "step": 1, "nmi": 0.5}], 1),
        (adversarial(3), 2),
    ],
)
def test_adversarial_curves_leave_out_what_is_missing(
    png: Path, figures: list[Figure], records: list[dict[str, Any]], panels: int
) -> None:
    plots.draw_adversarial_curves(png, records)
    assert colors(png) > 3
    assert len(figures[0].axes) == panels


def test_the_selected_trial_is_marked(png: Path, figures: list[Figure]) -> None:
    table = [
        {"seed": 4, "selection": 0.5, "purity": 0.9, "nmi": None},
        {"seed": 5, "selection": 0.8, "purity": 0.7, "nmi": 0.6, "device": "cpu"},
        {"seed": 6, "selection": float("nan"), "purity": 0.1},
    ]
    plots.draw_trials(png, table)
    assert colors(png) > 10
    ax = figures[0].axes[0]
    assert labels_at_left(figures[0]) == ["selection", "purity", "NMI"]
    dots = {m: [x.get_xdata().tolist() for x in ax.lines if x.get_marker() == m] for m in "Do"}
    assert dots["D"] == [[0.8], [0.7], [0.6]]
    assert dots["o"][1] == [0.9, 0.1]
    assert "seed 5" in ax.get_title(loc="left")
    assert "0.567 ± 0.416" in [text.get_text() for text in ax.texts]
