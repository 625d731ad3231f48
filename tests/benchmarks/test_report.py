"""The page of `tfcluster compare`, from lines whose numbers are known."""

import html
import html.parser
import itertools
import json
import math
import re
import shutil
import subprocess

import pytest

from benchmarks.compare import figures, statistics, summary, tables
from benchmarks.compare.cases import DEFAULTS, HETEROGENEITY
from benchmarks.compare.engines import flower_or_tff
from benchmarks.compare.report import (
    HOW_TO_READ,
    markdown_tables,
    reasons,
    verdict,
    write_report,
)
from benchmarks.compare.runs import read_lines
from benchmarks.record import RESULTS
from tests.benchmarks import compare_lines as made

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")

# -- numbers -------------------------------------------------------------------------------------


def test_mean_and_interval():
    # of 1, 2, 3: deviation 1, t(2) = 4.3027, half 4.3027 / sqrt(3)
    found = statistics.mean([1.0, 2.0, 3.0])
    assert (found.value, found.n) == (2.0, 3)
    assert found.half == pytest.approx(2.4841, abs=1e-4)
    assert not found.excludes(0) and found.excludes(5)


def test_one_number_has_no_interval():
    found = statistics.mean([2.0])
    assert math.isnan(found.half)
    assert not found.excludes(0)


def test_paired_t():
    # t = 2 / (1 / sqrt(3)) = 3.4641 with 2 degrees of freedom
    assert statistics.p_value([1.0, 2.0, 3.0]) == pytest.approx(0.0742, abs=1e-4)
    assert statistics.p_value([0.0, 0.0, 0.0]) == 1
    assert statistics.p_value([0.1, 0.1, 0.1]) == pytest.approx(0, abs=1e-9)
    assert math.isnan(statistics.p_value([1.0]))


def test_holm():
    # smallest first: .005 * 4, .01 * 3, .03 * 2, then .04 is not less than .06
    found = statistics.holm([0.01, 0.04, 0.03, 0.005])
    assert found == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_counts_what_is_known_and_stays_below_one():
    found = statistics.holm([0.9, math.nan, 0.02])
    assert found[::2] == pytest.approx([0.9, 0.04])
    assert math.isnan(found[1])
    assert statistics.holm([0.6, 0.7]) == [1.0, 1.0]


def test_exponent():
    assert statistics.exponent([1, 10, 100], [3, 300, 30_000]).value == pytest.approx(2)
    # logs 0, 1, 2 to 0, 1.30103, 2: slope 1, residuals' sum of squares .060411,
    # error sqrt(.060411 / 1 / 2) = .17380, t(1) = 12.7062
    found = statistics.exponent([1, 10, 100], [1, 20, 100])
    assert found.value == pytest.approx(1)
    assert found.half == pytest.approx(2.2083, abs=1e-3)


def test_a_straight_line_needs_three_points():
    assert statistics.straight([1, 2], [1, 2]) is None
    found = statistics.straight([1, 2, 300], [7, 9, 605])
    assert (found.fixed, found.per) == pytest.approx((5, 2))


# -- what lines have in common -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("engine", "total", "warm", "part", "share"),
    [
        # local 7.6 s; Flower 13.1 s, of which start 5.0 and warm rounds 0.5 are added
        ("flower", 13.1 / 7.6, 1.25, "engine_start", 5 / 5.5),
        # TFF 10.6 s: start 1.0 and warm rounds 2.0
        ("tff", 10.6 / 7.6, 2.0, "warm_rounds", 2 / 3),
    ],
)
def test_overhead(engine, total, warm, part, share):
    found = summary.overhead(made.digits(), engine)
    assert found.runs == 6
    assert math.exp(found.total.value) == pytest.approx(total)
    assert math.exp(found.warm.value) == pytest.approx(warm)
    assert found.largest == (part, pytest.approx(share))


def test_a_saving_has_its_largest_part_too():
    lines = made.digits(1)
    for line in summary.of(lines, "tff"):  # 1 s more in engine start, 2 s in warm rounds
        line["seconds"] |= {"import": 0.0, "first_rounds": 0.5}  # 3 s and 1 s less
        line["seconds"]["total"] -= 4
    found = summary.overhead(lines, "tff")
    assert found.largest == ("import", pytest.approx(3 / 7))
    text = " ".join(reasons("digits", lines))
    assert "import 43 % (less), warm rounds 29 %" in text


def test_what_compiles_is_not_warm():
    rounds = {"pretrain": [9.0, 1.0, 3.0], "centroids": [9.0, 8.0, 2.0], "cluster": [50.0]}
    one = {"rounds": rounds}
    assert summary.warm(one) == {"pretrain": [1.0, 3.0], "centroids": [2.0]}
    assert summary.warm_round(one) == 2
    assert summary.warm_round({"rounds": {"cluster": [50.0]}}) is None
    other = {"rounds": {"pretrain": [9.0, 4.0, 4.0], "centroids": [9.0, 8.0, 4.0]}}
    # (2 rounds of 4 s and one of 4 s) over (2 of 2 s and one of 2 s)
    assert summary.warm_ratio(other, one) == 2


def test_a_round_taken_apart():
    for engine, factor in made.FACTOR.items():
        found = summary.round_cost(made.scaling(), engine)
        assert found.fixed == pytest.approx(0.02 * factor, rel=1e-3)
        assert found.per_client == pytest.approx(0.01 * factor, rel=1e-3)
        assert found.per_step == pytest.approx(0.0002 * factor, rel=1e-3)  # of ten clients


def test_parameters_of_an_autoencoder():
    # 7-12-5-12-7: products 84 + 60 + 60 + 84, biases 12 + 5 + 12 + 7
    assert summary.n_parameters(7, [12, 5]) == 288 + 36


def test_procedures_that_differ_are_found_and_no_others():
    found = summary.comparisons(made.aggregation(), DEFAULTS)
    assert len(found) == 2 * 15
    same = [c for c in found if c.is_same]
    assert [c.procedure for c in same] == ["fedavg", "fedavg"]
    assert all(math.isnan(c.p) and math.isnan(c.adjusted) for c in same)
    others = [c for c in found if not c.is_same]
    # the smallest is multiplied by the number of real comparisons
    assert min(c.adjusted for c in others) == pytest.approx(28 * min(c.p for c in others))
    significant = {c.procedure for c in found if c.is_significant}
    assert significant == set(made.GAIN)
    for c in found:
        if c.procedure in made.GAIN:
            assert c.difference.value == pytest.approx(made.GAIN[c.procedure], abs=0.003)
            assert c.reference == ("fedavg" if c.procedure == "fedadam" else DEFAULTS)


def test_tuning_runs_are_no_results():
    seeds = {line["case"]["seed"] for line in summary.untuned(made.aggregation(2))}
    assert seeds == {0, 1}


def test_different_first_weights_are_seen():
    lines = made.digits(1)
    assert all(len(start.hashes) == 1 for start in summary.starts(lines))
    lines[2]["start_hash"] = "another"
    (table,) = [t for t in tables.of_suite("digits", lines) if "first weights" in t.caption]
    assert "1 of 2 sets" in table.caption
    assert "NO" in table.markdown() and "another" in table.markdown()


def test_differences_from_the_local_loop_are_paired_by_seed():
    scores = tables.of_suite("heterogeneity", made.heterogeneity())[0]
    column = scores.header.index("NMI less local")
    case = "DEC, digits (1,797 rows), iid, 5 clients, fedavg"
    iid = {row[1]: row[column] for row in scores.rows if row[0] == case}
    # the same in every seed, so that nothing is left of the seeds' own spread
    assert iid == {"local loop": "-", "central": "+0.020 ± 0.000", "alone": "-0.100 ± 0.000"}


def test_what_clients_train_is_part_of_a_start():
    found = list(summary.starts(made.heterogeneity(1)))
    assert all(len(start.hashes) == 1 for start in found)
    assert "ClusterGAN, digits, placement split" in [start.what for start in found]


def test_memory_of_a_short_run_has_no_slope():
    line = made.digits(1)[1]
    assert summary.memory_slope(line) == 1.5
    line["memory"]["samples"] = [[0.0, 500], [59.9, 900]]
    assert summary.memory_slope(line) is None
    line["memory"]["samples"] = []
    assert summary.memory_slope(line) is None


# -- sentences -----------------------------------------------------------------------------------


def test_equal_scores_are_called_the_same():
    scores, seconds, choice = verdict({"digits": made.digits()})
    assert "was the same in 6 pairs of runs (digits)" in scores
    assert "Flower ended with the local loop's weights, bit by bit, in all 6 runs" in scores
    assert "TFF's last weights differ" in scores
    assert "Flower took 1.72" in seconds and "1.25" in seconds
    assert "91 % of all that differs is engine start" in seconds
    assert "TFF took 1.39" in seconds and "67 % of all that differs is warm rounds" in seconds
    # 13.1 / 10.6 s and 2,000 / 1,000 MB in every pair
    assert choice.startswith("For simulations like these choose TFF for its time and memory")
    assert "1.24" in choice and "2.00" in choice


def test_a_difference_within_its_interval_is_none():
    scores = verdict({"digits": made.digits(tff=0.02)})[0]
    assert "no difference was found" in scores


@pytest.mark.parametrize(("off", "better"), [(0.02, "TFF"), (-0.02, "Flower")])
def test_a_difference_beyond_its_interval_is_named(off, better):
    lines = made.digits()
    for line in summary.of(lines, "tff"):
        line["scores"]["accuracy"] += off
    scores = verdict({"digits": lines})[0]
    assert f"{-off:+.4f} ± 0.0000: {better} was more accurate" in scores


def test_an_engine_that_failed_is_not_compared():
    lines = [
        made.failure(made.Case(**line["case"])) if summary.backend(line) == "tff" else line
        for line in made.digits()
    ]
    scores, seconds, choice = verdict({"digits": lines})
    assert "all 6 runs of TFF failed (RuntimeError: <it> & that)" in scores
    assert "TFF" not in seconds
    assert choice == "Only Flower can be chosen from these runs."


def test_an_engine_that_was_not_run_is_not_compared():
    lines = [line for line in made.digits() if summary.backend(line) in ("local", "tff")]
    assert "no case was run on Flower" in verdict({"digits": lines})[0]


@pytest.mark.parametrize(
    "lines",
    [
        {"smoke": made.digits(1)},
        {"heterogeneity": made.heterogeneity()},
        {"aggregation": made.aggregation(2)},
        {"scaling": made.scaling()},
        {"digits": [made.failure(made.Case("dec", backend="flower"))]},
    ],
    ids=lambda lines: next(iter(lines)),
)
def test_there_are_always_three_sentences(lines):
    found = verdict(lines)
    assert len(found) == 3
    assert all(text.endswith(".") and text[0].isupper() for text in found)


def test_smoke_counts_only_where_there_is_nothing_else():
    smoke = made.digits(2, tff=0.5)
    assert "(smoke)" in verdict({"smoke": smoke})[0]
    assert "(digits)" in verdict({"smoke": smoke, "digits": made.digits()})[0]
    assert "(smoke)" in verdict({"smoke": smoke, "heterogeneity": made.heterogeneity()})[0]


def test_the_best_procedure_is_named():
    choice = verdict({"aggregation": made.aggregation()})[2]
    assert "of 14 procedures fedadam gained most over fedavg (+0.03" in choice
    assert choice.endswith("shown to be worse after Holm's correction: centroids random.")


def test_what_is_worse_on_some_rows_alone_is_named_with_them():
    lines = made.aggregation()
    for line in lines:
        case = line["case"]
        if case["procedure"] == "fedadam" and case["partition"] == "iid":
            line["scores"]["nmi"] -= 2 * made.GAIN["fedadam"]
        elif case["procedure"] == "fedadam":
            line["scores"]["nmi"] -= made.GAIN["fedadam"]
    choice = verdict({"aggregation": lines})[2]
    assert "of 14 procedures none was found to beat its default after Holm's" in choice
    assert "worse after Holm's correction: fedadam (on iid rows), centroids random." in choice


def test_together_against_alone():
    choice = verdict({"heterogeneity": made.heterogeneity()})[2]
    assert "in 11 of 11 cases" in choice


def test_scaling_says_why():
    text = " ".join(reasons("scaling", made.scaling()))
    assert "In a warm round of TFF a local step takes 2.00 times as long in its worker" in text
    assert "each client costs 1.25 times as much" in text
    # 20 ms of the local loop, times 1.25 and 2
    assert "on the number of clients takes 5 ms more than the local loop's" in text
    assert "on the number of clients takes 20 ms more than the local loop's" in text


# -- tables --------------------------------------------------------------------------------------


def test_tables_of_a_suite():
    text = markdown_tables({"digits": made.digits()})
    # accuracies .80, .81, .82: half 4.3027 * .01 / sqrt(3)
    case = "DEC, digits, iid, 5 clients, fedavg"
    sized = case.replace("digits", "digits (1,797 rows)")
    assert f"| {sized} | Flower | 3 | 0.810 ± 0.025 | 0.710 ± 0.025 |" in text
    assert "| 3 of 3 runs |" in text and "| 0 of 3 runs |" in text
    assert f"| {case} | Flower | 0.125 (0.125 to 0.125) | 1.25" in text
    assert "| 2,000 | 1.5 | 30.0 | 290.0, 290.0 |" in text
    assert f"| {case} | TFF | 3.00 | 0.50 | 1.00 | 1.50 | 4.00 | 0.40 | 0.20 | - | 10.60 |" in text


def test_rows_that_differ_by_seed_are_given_as_a_range():
    lines = made.digits(2)
    assert summary.rows_of(lines) == "1,797 rows"
    lines[0]["n_rows"] = 840
    assert summary.rows_of(lines) == "840 to 1,797 rows"


def test_what_is_its_own_reference_is_called_the_same():
    (table,) = [t for t in tables.of_suite("aggregation", made.aggregation())
                if t.caption.startswith("Procedures on digits (1,797 rows)")]  # fmt: skip
    assert table.rows[0][-4:] == [DEFAULTS, "the same", "-", "-"]


def test_rows_are_by_algorithm_then_partition_then_where():
    lines = list(reversed(made.heterogeneity(1)))
    scores = tables.of_suite("heterogeneity", lines)[0]
    order = [(row[0].partition(",")[0], row[0].split(", ")[2], row[1]) for row in scores.rows]
    algorithms = list(dict.fromkeys(algorithm for algorithm, _, _ in order))
    partitions = list(dict.fromkeys(partition for _, partition, _ in order))
    assert algorithms == ["DEC", "ClusterGAN"]
    assert partitions == [*HETEROGENEITY, "natural"]
    places = [
        (algorithms.index(a), partitions.index(p), list(summary.NAMES.values()).index(w))
        for a, p, w in order
    ]
    assert places == sorted(places)


def test_growth_is_in_the_tables():
    text = markdown_tables({"scaling": made.scaling()})
    assert "| TFF | 40.00 | 20.00 | 0.40 |" in text


def test_every_statement_about_the_engines_has_a_source():
    table = flower_or_tff()
    subjects = " ".join(str(row[0]) for row in table.rows)
    for subject in ("algorithms", "maintenance", "installation", "privacy", "deployment"):
        assert subject in subjects
    for row in table.rows:
        assert all(cell.sources for cell in row[1:])
    assert "](https://" in table.markdown()


# -- the page ------------------------------------------------------------------------------------


class Markup(html.parser.HTMLParser):
    """Collects what a page is made of, and what is not well-formed."""

    VOID = ("meta", "br", "link", "img")

    def __init__(self, text):
        super().__init__()
        self.open, self.faults, self.tags, self.text = [], [], [], []
        self.feed(text)
        self.faults += [f"{tag} is not closed" for tag in self.open]

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if len(dict(attrs)) < len(attrs):
            self.faults.append(f"{tag} has an attribute twice")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"{tag} is closed at {self.getpos()}")

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Where the page of all suites is."""
    return write_report(made.everything(), tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def markup(page):
    """What the page is made of."""
    return Markup(page.read_text())


def test_markup_is_well_formed(markup):
    assert markup.faults == []


def test_identifiers_are_unique_and_known(page, markup):
    found = [attrs["id"] for _, attrs in markup.tags if "id" in attrs]
    assert len(found) == len(set(found))
    text = page.read_text()
    used = re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"|labelledby="([^"]+)"', text)
    assert {name for names in used for name in names if name} <= set(found)


def test_nothing_is_loaded(page, markup):
    text = page.read_text()
    assert "@import" not in text and "<script" not in text
    assert not re.search(r"url\((?!#)", text)
    for tag, attrs in markup.tags:
        assert tag not in ("script", "link", "img", "iframe", "object")
        assert "src" not in attrs
        if tag != "a":
            assert not any("http" in str(value) for value in attrs.values()), (tag, attrs)


def test_page_can_be_read_aloud(markup):
    assert dict(markup.tags)["html"]["lang"] == "en-GB"
    pictures = [attrs for tag, attrs in markup.tags if tag == "svg"]
    assert len(pictures) >= 30
    assert all(attrs["role"] == "img" and attrs["aria-label"] for attrs in pictures)
    levels = [int(tag[1]) for tag, _ in markup.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b <= a + 1 for a, b in itertools.pairwise(levels))


def test_failures_are_shown(page, markup):
    text = "".join(markup.text)
    assert "Runs that failed" in text
    assert "RuntimeError: <it> & that" in text
    assert "Traceback (most recent call last)" in text
    assert "23 runs ended well, 1 failed." in text
    assert "<it>" not in page.read_text()
    assert "RuntimeError: <it> & that" in page.with_name("report.md").read_text()


def test_versions_and_verdict_are_shown(markup):
    text = "".join(markup.text)
    assert all(sentence in text for sentence in verdict(made.everything()))
    assert "Made-up <Processor> & sons" in text


def test_both_pages_say_how_to_read_them(page, markup):
    text, shown = page.with_name("report.md").read_text(), "".join(markup.text)
    assert all(f"- {words}\n" in text and words in shown for words in HOW_TO_READ)


@pytest.mark.parametrize("name", ["report.md", "report.html"])
def test_committed_pages_are_made_from_the_results(remade, name):
    is_equal = (remade / name).read_bytes() == (RESULTS / name).read_bytes()
    assert is_equal, "run: tfcluster compare --report-only --out benchmarks/results"


@pytest.fixture(scope="module")
def remade(tmp_path_factory):
    """Where the pages of the committed lines are made anew."""
    return write_report(read_lines(RESULTS), tmp_path_factory.mktemp("remade")).parent


def test_figures_take_the_colours_of_the_page(page):
    inside = "".join(re.findall(r"<svg.*?</svg>", page.read_text(), flags=re.S))
    assert "var(--flower)" in inside and "var(--ink)" in inside
    assert not re.search(r"(fill|stroke): #(?!fff)", inside)


def test_same_lines_same_page(page, tmp_path):
    lines = {"digits": [made.failure(made.Case("dec")), *made.digits(1)[-2:]]}
    pages = [write_report(lines, tmp_path / name).read_bytes() for name in ("a", "b")]
    assert pages[0] == pages[1]


def test_curves_of_clustergan_say_what_is_scored():
    found = figures.of_suite("digits", made.digits(1))
    curves = [drawing for drawing in found if " by round" in drawing.title]
    assert curves
    for drawing in curves:
        assert ("argmax of z_c" in drawing.caption) == ("ClusterGAN" in drawing.title)


def test_figures_need_data():
    lines = [{**line, "curve": []} for line in made.digits(1)]
    titles = [drawing.title for drawing in figures.of_suite("digits", lines)]
    assert titles and not any("by round" in title for title in titles)


# -- in a browser --------------------------------------------------------------------------------

LOOK = """<script>addEventListener("load", () => {
  const color = (node, name) => getComputedStyle(node)[name];
  const found = {
    width: innerWidth, scroll: document.documentElement.scrollWidth,
    paper: color(document.body, "backgroundColor"), ink: color(document.body, "color"),
    drawn: [...new Set([...document.querySelectorAll("svg text")].map(t => color(t, "fill")))],
    narrow: [...document.querySelectorAll("svg")].filter(
      s => s.getBoundingClientRect().width < 300 || s.getBoundingClientRect().right > innerWidth
    ).length,
  };
  parent.document.body.innerHTML = "<p id=found>" + JSON.stringify(found) + "</p>";
});</script>"""

# A window of Chromium is not narrower than 500 pixels, but a frame may be.
FRAME = """<!doctype html><style>:root { color-scheme: light dark; }</style>
<body><iframe style="width: WIDTHpx; height: 900px; border: 0" srcdoc="PAGE"></iframe></body>"""


def brightness(color):
    return sum(map(int, re.findall(r"\d+", color)[:3])) / 3


@pytest.mark.skipif(not BROWSER, reason="needs chromium or google-chrome to look at the page")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_page_fits_a_browser(page, tmp_path, width, scheme):
    looked_at = tmp_path / "page.html"
    text = page.read_text().replace("</head>", LOOK + "</head>")
    frame = FRAME.replace("WIDTH", str(width)).replace("PAGE", html.escape(text))
    looked_at.write_text(frame)
    words = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"]
    words += ["--no-first-run", "--disable-background-networking", "--disable-component-update"]
    words += ["--disable-sync", f"--user-data-dir={tmp_path / 'profile'}"]
    words += [f"--blink-settings=preferredColorScheme={int(scheme == 'light')}"]
    words += ["--window-size=1400,1000", "--dump-dom", looked_at.as_uri()]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    found = json.loads(re.search(r'<p id="found">(.*?)</p>', ended.stdout, flags=re.S)[1])
    assert found["width"] == width
    assert found["scroll"] <= width
    assert found["narrow"] == 0
    is_light = scheme == "light"
    assert (brightness(found["paper"]) > 128) == is_light
    for ink in (found["ink"], *found["drawn"]):
        assert abs(brightness(ink) - brightness(found["paper"])) > 120
