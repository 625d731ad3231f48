"""The figures of the report: what is drawn, with which labels, and how many points."""

import math
import re

import numpy as np
import pytest

from benchmarks.compare.report_figures import make_figures
from benchmarks.compare.suites import HETEROGENEITY
from tests.benchmarks import made_lines as made

DIGITS = "DEC, digits, iid, 5 clients, fedavg"


def draw(suite, lines):
    """Title to axes, whose titles differ."""
    drawings = make_figures(suite, lines)
    found = {drawing.title: drawing.figure.axes for drawing in drawings}
    assert len(found) == len(drawings)
    assert all(len(axes) == 1 for axes in found.values())
    return {title: axes for title, (axes,) in found.items()}


@pytest.fixture(scope="module")
def digits():
    return draw("digits", made.digits())


def curves(axes):
    """Label to the points of a line."""
    return {line.get_label(): line.get_xydata() for line in axes.lines}


def test_curves(digits):
    by_round = curves(digits[f"ACC by round: {DIGITS}"])
    by_second = curves(digits[f"NMI by second: {DIGITS}"])
    assert list(by_round) == list(by_second) == list(made_names()[:4])
    # accuracies .80, .81, .82 less 0.1 / round
    for points in by_round.values():
        np.testing.assert_allclose(points, [(1, 0.71), (5, 0.79), (9, 0.81 - 0.1 / 9)])
    # seconds 2 + 0.1 a round, times 2; NMI .70, .71, .72
    np.testing.assert_allclose(by_second["TFF"][:, 0], [2.2, 3.0, 3.8])
    np.testing.assert_allclose(by_second["TFF"][:, 1], [0.61, 0.69, 0.71 - 0.1 / 9])
    assert digits[f"ACC by round: {DIGITS}"].get_ylabel() == "ACC"
    assert digits[f"NMI by second: {DIGITS}"].get_xlabel() == "seconds of training"


def test_the_band_spans_all_seeds(digits):
    bands = digits[f"ACC by round: {DIGITS}"].collections
    assert len(bands) == 4  # one for each backend
    low, high = bands[0].get_paths()[0].get_extents().get_points()
    np.testing.assert_allclose([low, high], [(1, 0.70), (9, 0.82 - 0.1 / 9)])


def test_parts_of_the_seconds_add_up(digits):
    axes = digits[f"Seconds by part: {DIGITS}"]
    names = [label.get_text() for label in axes.get_yticklabels()]
    ends = dict.fromkeys(names, 0.0)
    for bars in axes.containers:
        for name, bar in zip(names, bars, strict=True):
            assert bar.get_x() == pytest.approx(ends[name])
            ends[name] += bar.get_width()
    assert ends == pytest.approx(dict(zip(made_names(), (7.6, 13.1, 7.6, 10.6, 11.5), strict=True)))
    shown = [text.get_text() for text in axes.get_legend().get_texts()]
    assert shown[:3] == ["import", "data", "backend start"] and len(shown) == 8


def test_cold_rounds_are_not_drawn(digits):
    axes = digits[f"Warm rounds: {DIGITS}"]
    found = {label: points for label, points in curves(axes).items() if label in made_names()}
    assert list(found) == list(made_names()[:4])
    for points, seconds in zip(found.values(), (0.1, 0.125, 0.1, 0.2), strict=True):
        assert len(points) == 22
        cold = np.isnan(points[:, 1])
        assert list(points[cold, 0]) == [1, 12]  # two phases of 11 rounds
        np.testing.assert_allclose(points[~cold, 1], seconds)
    assert [text.get_text() for text in axes.texts] == ["pretrain", "cluster"]
    assert axes.get_yscale() == "log"


def made_names():
    return ("local loop", "Flower", "local loop (TFF's TensorFlow)", "TFF", "centralized")


def test_memory_has_a_line_for_each_run(digits):
    lines = digits[f"Memory: {DIGITS}"].lines
    assert len(lines) == 5 * 3  # backends and seeds
    assert [line.get_label() for line in lines[::3]] == list(made_names())
    assert [len(line.get_xdata()) for line in lines] == [10] * 12 + [2] * 3
    assert lines[3].get_ydata()[0] == 1_900  # Flower: 2,000 - 100 / 1


def test_scaling():
    found = draw("scaling", made.scaling())
    assert len([title for title in found if title.startswith(("Seconds", "Peak"))]) == 6
    axes = found["Seconds of a warm round by clients"]
    names = [label.partition(",")[0] for label in curves(axes)]
    assert names == list(made_names()[:4])
    n = np.array([10, 30, 100, 300, 1_000])
    for points, factor in zip(curves(axes).values(), made.FACTOR.values(), strict=True):
        np.testing.assert_allclose(points, np.stack([n, factor * (0.02 + 0.01 * n)], 1))
    slope, _ = np.polyfit(np.log(n), np.log(0.02 + 0.01 * n), 1)
    exponents = {label.partition("exponent ")[2] for label in curves(axes)}
    assert exponents == {f"{slope:.2f}"}  # one, since backends differ by a factor
    assert axes.get_xscale() == axes.get_yscale() == "log"
    assert all(len(points) == 4 for points in curves(found["Peak memory by parameters"]).values())


def test_partitions():
    found = draw("heterogeneity", made.heterogeneity())
    axes = found["ACC by partition: ClusterGAN, digits"]
    ticks = [label.get_text().replace("\n", " ") for label in axes.get_xticklabels()]
    assert ticks == [name.replace("_", " ") for name in HETEROGENEITY]
    bars = {container.get_label(): container for container in axes.containers}
    assert list(bars) == [
        "generator clients",
        "generator server",
        "generator clients, carried",
        "local only",
    ]
    values = {label: np.array(container[0].get_ydata(), float) for label, container in bars.items()}
    assert all(len(y) == 5 for y in values.values())
    # mean of three seeds .80, .81, .82 less what skew takes
    expected = 0.81 - np.array([0, 0.02, 0.05, 0.1, 0.15])
    np.testing.assert_allclose(values["generator clients"], expected)
    np.testing.assert_allclose(values["generator server"], expected - 0.05)
    np.testing.assert_allclose(values["local only"], expected - 0.1)
    (pooled,) = [line for line in axes.lines if line.get_label() == "centralized"]
    np.testing.assert_allclose(pooled.get_ydata(), 0.83)
    # half the interval of three seeds: 4.3027 * .01 / sqrt(3)
    (segments,) = bars["local only"][2]
    low, high = segments.get_segments()[0][:, 1]
    assert (high - low) / 2 == pytest.approx(0.02484, abs=1e-4)


def test_procedures():
    found = draw("aggregation", made.aggregation())
    assert list(found) == ["Procedures on iid", "Procedures on dirichlet 0.3"]
    for axes in found.values():
        labels = [label.get_text() for label in axes.get_yticklabels()]
        points = [container[0].get_xydata()[0] for container in axes.containers]
        assert len(labels) == len(points) == 14
        assert [y for _, y in points] == list(range(14))
        assert {label for label in labels if label.endswith(" *")} == {
            f"{name} *" for name in made.GAIN
        }
        by_label = dict(zip(labels, (x for x, _ in points), strict=True))
        for name, gain in made.GAIN.items():
            assert by_label[f"{name} *"] == pytest.approx(gain, abs=0.003)


def test_curves_of_clustergan_say_what_is_scored():
    drawings = [d for d in make_figures("digits", made.digits(1)) if " by round" in d.title]
    assert drawings
    for drawing in drawings:
        assert ("argmax of z_c" in drawing.caption) == ("ClusterGAN" in drawing.title)


def test_figures_need_data():
    titles = list(draw("digits", [{**line, "curve": []} for line in made.digits(1)]))
    assert titles and not any("by round" in title for title in titles)


def test_one_seed_has_no_interval():
    axes = draw("heterogeneity", made.heterogeneity(1))["NMI by partition: DEC, digits"]
    for container in axes.containers:
        (segments,) = container[2]
        assert all(low == high for low, high in (s[:, 1] for s in segments.get_segments()))
    assert not axes.patches


def visible_labels(axis):
    low, high = sorted(axis.get_view_interval())
    ticks = zip(axis.get_ticklocs(), axis.get_ticklabels(), strict=True)
    return [label.get_text() for at, label in ticks if low <= at <= high]


def test_svg_is_light_and_has_all_text():
    suites = {"digits": made.digits(1), "heterogeneity": made.heterogeneity(1)}
    drawings = [d for suite, lines in suites.items() for d in make_figures(suite, lines)]
    for drawing in drawings:
        svg = drawing.to_svg("suite")
        (axes,) = drawing.figure.axes
        assert re.search(r"<path[^>]*fill: #ffffff", svg)  # the background
        texts = re.findall(r"<text([^>]*)>([^<]*)</text>", svg)
        ticks = [text for axis in (axes.xaxis, axes.yaxis) for text in visible_labels(axis)]
        legend = [label.get_text() for label in axes.get_legend().get_texts()]
        expected = [axes.get_xlabel(), axes.get_ylabel(), *ticks, *legend]
        shown = [text for _, text in texts]
        assert all(line in shown for text in expected for line in text.splitlines())
        assert not any("fill" in style for style, _ in texts)  # black
        assert all(math.isfinite(float(x)) for x in re.findall(r' x="([^"]*)"', svg))
