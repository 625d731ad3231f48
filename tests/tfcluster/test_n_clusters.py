"""The recommended number of clusters and its reason."""

import io
import math

import pytest
from rich.console import Console

from tfcluster.cli.score_tables import print_n_clusters
from tfcluster.errors import InputError
from tfcluster.n_clusters import recommend_n_clusters


def records(**scores):
    """Records of 2, 3, ... clusters from columns of scores."""
    columns = scores.values()
    rows = zip(*columns, strict=True)
    return [
        {"n_clusters": k, **dict(zip(scores, row, strict=True))} for k, row in enumerate(rows, 2)
    ]


def test_the_highest_silhouette_is_recommended():
    found = recommend_n_clusters(records(silhouette=[0.4, 0.51, 0.3, 0.2]))
    assert found.n_clusters == 3
    assert found.reason == (
        "3 clusters: the silhouette is 0.510, the highest of 4 numbers. "
        "Stability over repeated runs was not measured."
    )


def test_other_scores_agree_or_not():
    silhouette = [0.4, 0.5, 0.3]
    found = recommend_n_clusters(
        records(silhouette=silhouette, calinski_harabasz=[1, 9, 2], davies_bouldin=[3, 1, 2])
    )
    assert "Calinski-Harabasz and Davies-Bouldin agree." in found.reason
    found = recommend_n_clusters(
        records(silhouette=silhouette, calinski_harabasz=[9, 1, 2], davies_bouldin=[3, 1, 2])
    )
    assert found.n_clusters == 3
    assert "Davies-Bouldin agrees; Calinski-Harabasz prefers 2." in found.reason
    found = recommend_n_clusters(records(silhouette=silhouette, davies_bouldin=[3, 2, 1]))
    assert "Davies-Bouldin prefers 4." in found.reason
    assert "agree" not in found.reason


def test_clearly_unstable_numbers_are_set_aside():
    """The median is (0.76 + 0.84) / 2; two are more than 0.1 below it. 0.99 decides nothing."""
    found = recommend_n_clusters(
        records(
            silhouette=[0.6, 0.3, 0.4, 0.7, 0.5, 0.1], stability=[0.69, 0.99, 0.84, 0.5, 0.84, 0.76]
        )
    )
    assert found.n_clusters == 6
    assert "the highest of 4 numbers" in found.reason
    assert (
        "Set aside because their stability is more than 0.1 below the median (0.80): "
        "2 and 5 clusters."
    ) in found.reason


def test_similar_stability_does_not_decide():
    found = recommend_n_clusters(records(silhouette=[0.6, 0.3], stability=[0.9, 0.99]))
    assert found.n_clusters == 2
    assert "No number is clearly less stable" in found.reason


def test_the_simplified_silhouette_serves_without_the_true_one():
    found = recommend_n_clusters(records(simplified_silhouette=[0.1, 0.2, 0.15]))
    assert found.n_clusters == 3
    assert "the simplified silhouette is 0.200" in found.reason
    both = records(simplified_silhouette=[0.1, 0.2], silhouette=[0.2, 0.1])
    assert recommend_n_clusters(both).n_clusters == 2


def test_missing_scores_are_left_out():
    found = recommend_n_clusters(
        records(silhouette=[math.nan, 0.2, None, 0.3], stability=[0.9, None, 0.9, math.nan])
    )
    assert found.n_clusters == 5
    assert "This is the largest number compared" in found.reason
    found = recommend_n_clusters(records(davies_bouldin=[1, 2]))
    assert found.n_clusters is None
    assert "no silhouette could be computed" in found.reason


def test_of_equal_numbers_the_smaller_one_in_any_order():
    table = records(silhouette=[0.1, 0.5, 0.5])
    assert (
        recommend_n_clusters(table).n_clusters == recommend_n_clusters(table[::-1]).n_clusters == 3
    )


@pytest.mark.parametrize("wrong", [[], records(silhouette=[0.1]) * 2])
def test_each_number_has_one_record(wrong):
    with pytest.raises(InputError, match="one record for each number of clusters"):
        recommend_n_clusters(wrong)


def test_the_table_shows_scores_and_recommendation():
    console = Console(file=io.StringIO(), width=80)
    table = records(simplified_silhouette=[0.4, 0.5], davies_bouldin=[2, 1], stability=[1, 0.951])
    print_n_clusters(console, table, recommend_n_clusters(table))
    text = " ".join(console.file.getvalue().split())
    assert "3 1.000 0.500 0.95 Recommended: 3 clusters: the simplified silhouette" in text
