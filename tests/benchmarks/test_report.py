"""The report of `tfcluster compare`, from lines whose numbers are known."""

import html
import html.parser
import itertools
import json
import re
import shutil
import subprocess

import pytest

from benchmarks.compare import result_lines
from benchmarks.compare.report import explain_report, read_facts, render_report, write_report
from benchmarks.compare.report_tables import make_tables
from benchmarks.compare.result_files import read_suites
from benchmarks.compare.suites import DEFAULTS, HETEROGENEITY
from benchmarks.compare.verdict import write_verdict
from benchmarks.record import RESULTS
from tests.benchmarks import made_lines as made

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")

# -- tables ---------------------------------------------------------------------------------------


def test_tables_of_a_suite():
    text = render_report("report.md", {"digits": made.digits()})
    # accuracies .80, .81, .82: half 4.3027 * .01 / sqrt(3)
    case = "DEC, digits, iid, 5 clients, fedavg"
    sized = case.replace("digits", "digits (1,797 samples)")
    assert f"| {sized} | Flower | 3 | 0.810 ± 0.025 | 0.710 ± 0.025 |" in text
    assert "| 3 of 3 runs |" in text and "| 0 of 3 runs |" in text
    assert f"| {case} | Flower | 0.125 (0.125 to 0.125) | 1.25" in text
    assert "| 2,000 | 1.5 | 30.0 | 290.0, 290.0 |" in text
    assert f"| {case} | TFF | 3.00 | 0.50 | 1.00 | 1.50 | 4.00 | 0.40 | 0.20 | - | 10.60 |" in text


def test_samples_that_differ_by_seed_are_a_range():
    lines = made.digits(2)
    assert result_lines.describe_samples(lines) == "1,797 samples"
    lines[0]["n_samples"] = 840
    assert result_lines.describe_samples(lines) == "840 to 1,797 samples"


def test_a_procedure_equal_to_its_reference_is_called_the_same():
    (table,) = [t for t in make_tables("aggregation", made.aggregation())
                if t.caption.startswith("Procedures on digits (1,797 samples)")]  # fmt: skip
    assert table.rows[0][-4:] == [DEFAULTS, "the same", "-", "-"]


def test_rows_are_sorted_by_algorithm_partition_and_backend():
    lines = list(reversed(made.heterogeneity(1)))
    scores = make_tables("heterogeneity", lines)[0]
    order = [(row[0].partition(",")[0], row[0].split(", ")[2], row[1]) for row in scores.rows]
    algorithms = list(dict.fromkeys(algorithm for algorithm, _, _ in order))
    partitions = list(dict.fromkeys(partition for _, partition, _ in order))
    assert algorithms == ["DEC", "ClusterGAN"]
    assert partitions == [*HETEROGENEITY, "natural"]
    places = [
        (algorithms.index(a), partitions.index(p), list(result_lines.NAMES.values()).index(w))
        for a, p, w in order
    ]
    assert places == sorted(places)


def test_growth_is_in_the_tables():
    text = render_report("report.md", {"scaling": made.scaling()})
    assert "| TFF | 40.00 | 20.00 | 0.40 |" in text


def test_every_statement_about_the_backends_has_a_source():
    facts = read_facts()
    subjects = " ".join(fact["subject"] for fact in facts)
    for subject in ("algorithms", "maintenance", "installation", "privacy", "deployment"):
        assert subject in subjects
    for fact in facts:
        assert fact["flower"]["sources"] and fact["tff"]["sources"]
    text = render_report("report.md", {"digits": made.digits(1)})
    assert "](https://" in text and all(fact["flower"]["text"] in text for fact in facts)


# -- the page -------------------------------------------------------------------------------------


class Markup(html.parser.HTMLParser):
    """Collects the parts of a page and its faults."""

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
    """Path of the page of all suites."""
    return write_report(made.everything(), tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def markup(page):
    """Parts of the page."""
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


def test_page_is_accessible(markup):
    assert dict(markup.tags)["html"]["lang"] == "en"
    pictures = [attrs for tag, attrs in markup.tags if tag == "svg"]
    assert len(pictures) >= 30
    assert all(attrs["role"] == "img" and attrs["aria-label"] for attrs in pictures)
    levels = [int(tag[1]) for tag, _ in markup.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b <= a + 1 for a, b in itertools.pairwise(levels))


def test_failures_are_shown(page, markup):
    text = "".join(markup.text)
    assert "Failed runs" in text
    assert "RuntimeError: <it> & that" in text
    assert "Traceback (most recent call last)" in text
    assert "29 runs finished, 1 failed." in text
    assert "<it>" not in page.read_text()
    assert "RuntimeError: <it> & that" in page.with_name("report.md").read_text()


def test_versions_and_verdict_are_shown(markup):
    text = "".join(markup.text)
    assert all(sentence in text for sentence in write_verdict(made.everything()))
    assert "Made-up <Processor> & sons" in text


def test_both_reports_say_how_to_read_them(page, markup):
    text, shown = page.with_name("report.md").read_text(), "".join(markup.text)
    assert all(f"- {words}\n" in text and words in shown for words in explain_report())


@pytest.mark.parametrize("name", ["report.md", "report.html"])
def test_committed_pages_are_made_from_the_results(remade, name):
    is_equal = (remade / name).read_bytes() == (RESULTS / name).read_bytes()
    assert is_equal, "run: tfcluster compare --report-only --out benchmarks/results"


@pytest.fixture(scope="module")
def remade(tmp_path_factory):
    """Folder of reports made from the committed lines."""
    return write_report(read_suites(RESULTS), tmp_path_factory.mktemp("remade")).parent


def test_figures_have_a_light_background_and_dark_text(page):
    figures = re.findall(r"<svg.*?</svg>", page.read_text(), flags=re.DOTALL)
    for figure in figures:
        assert re.search(r"<path[^>]*>", figure)[0].endswith('style="fill: #ffffff"/>')
        assert "<text" in figure and not re.search(r"<text[^>]*fill", figure)  # black


def test_the_committed_page_is_small():
    assert (RESULTS / "report.html").stat().st_size < 400_000


def test_equal_lines_give_equal_pages(page, tmp_path):
    lines = {"digits": [made.failure(made.Case("dec")), *made.digits(1)[-2:]]}
    pages = [write_report(lines, tmp_path / name).read_bytes() for name in ("a", "b")]
    assert pages[0] == pages[1]


# -- in a browser ---------------------------------------------------------------------------------

LOOK = """<script>addEventListener("load", () => {
  const color = (node, name) => getComputedStyle(node)[name];
  const found = {
    width: innerWidth, scroll: document.documentElement.scrollWidth,
    paper: color(document.body, "backgroundColor"), ink: color(document.body, "color"),
    drawn: [...document.querySelectorAll("svg")].flatMap(s => [...s.querySelectorAll("text")].map(
      t => [color(t, "fill"), color(s.querySelector("path"), "fill")])),
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
    assert len(found["drawn"]) > 400
    for ink, paper in [(found["ink"], found["paper"]), *found["drawn"]]:
        assert abs(brightness(ink) - brightness(paper)) > 120
