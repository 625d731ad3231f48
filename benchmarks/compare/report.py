"""The page of a comparison: `report.html`, which needs nothing else, and `report.md`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.compare import figures, page, summary, tables
from benchmarks.compare.cases import SUITES, TUNED_ON
from benchmarks.compare.engines import flower_or_tff
from benchmarks.compare.summary import NAMES, PARTS, Line
from benchmarks.compare.tables import Table
from benchmarks.compare.verdict import BOTH, TIMED, last_line, times, verdict
from tfcluster.files import atomic_write

__all__ = ["markdown_tables", "readme", "verdict", "write_report"]

Lines = Mapping[str, Sequence[Line]]

TITLE = "Flower, TensorFlow Federated and the local loop, compared"

HOW_TO_READ = (
    "Every engine runs the same algorithm, from the same first weights, with the same clients in "
    "each round and the same seeds; only what carries the tensors differs. The local loop carries "
    "them within one process: it is the measure of what an engine adds.",
    "Where seconds are compared, each run has a process of its own and the machine to itself, and "
    "is counted from the start of that process. First rounds compile (tracing); warm rounds are "
    "all later ones of a phase. Elsewhere runs share processes, and no seconds are given.",
    "The column of the warm round is of the phase that takes most time. Its ratio to the local "
    "loop's weighs the medians of all phases both runs had, so the two need not agree.",
    "Intervals are 95 % (Student), over seeds. A ratio is the geometric mean over pairs of runs, "
    "the same case and seed on two engines; its interval is that of the logarithm. One seed has no "
    "interval.",
    "Memory is the proportional set size of all processes of a run: pages they share count once. "
    "Its slope is over the last half of a run, and given for runs of a minute or more. Bytes are "
    "the numbers sent, without an engine's wrapping. CPU seconds are of all processes.",
    "Central is the same training on all rows in one place. Alone is every client by itself; its "
    "model is scored on the rows of all, and the clients' mean is weighted by rows. Both start "
    "from the first weights of the federated runs. NMI less local is the mean difference of runs "
    "of the same seed.",
    "ClusterGAN's curves by round are of the argmax of z_c; its scores at the end are of k-means "
    "centres on the codes.",
    f"Rules of aggregation were tuned on {TUNED_ON} rows alone; the best value is used on every "
    "partition.",
    "Differences between procedures are paired by seed and tested by the paired t-test, the test "
    "that belongs to the intervals shown; of ten pairs Wilcoxon's test could not fall below 0.05 "
    "after correction for so many comparisons. Holm's correction is over all of the suite.",
    "Seconds depend on the machine below and on what else it did: compare ratios.",
)


def write_report(lines: Lines, out: Path) -> Path:
    """Writes the page and its Markdown.

    Args:
      lines: Suite to its result lines.
      out: The folder.

    Returns:
      Where `report.html` is.

    Raises:
      InputError: If the folder cannot be written.
    """
    for name, text in (("report.md", _markdown(lines)), ("report.html", _html(lines))):
        with atomic_write(out / name) as file:
            file.write(text.encode())
    return out / "report.html"


def markdown_tables(lines: Lines) -> str:
    """The tables of all suites as Markdown, and the choice of an engine."""
    parts = []
    for suite, runs in lines.items():
        parts.append(f"### {suite}\n\n{_purpose(suite)}\n\n")
        parts += [f"{text}\n\n" for text in reasons(suite, runs)]
        parts += map(_captioned, tables.of_suite(suite, runs))
    broken = tables.failures(lines)
    if broken.rows:
        parts.append(f"### {broken.caption}\n\n{broken.markdown()}\n")
    choice = flower_or_tff()
    parts.append(f"### {choice.caption}\n\n{choice.markdown()}\n")
    return "".join(parts)


def readme(lines: Lines) -> str:
    """The verdict, the first tables of every suite and the choice of an engine, as Markdown."""
    parts = [f"{sentence}\n\n" for sentence in verdict(lines)]
    for suite, runs in lines.items():
        parts.append(f"**{suite}**: {_purpose(suite)}\n\n")
        parts += map(_captioned, tables.of_suite(suite, runs)[: _IN_README.get(suite, 2)])
    choice = flower_or_tff()
    return f"{''.join(parts)}**{choice.caption}**\n\n{choice.markdown()}"


_IN_README = {"heterogeneity": 1, "aggregation": 1}


def _captioned(table: Table) -> str:
    return f"{table.caption}:\n\n{table.markdown()}\n"


def _purpose(suite: str) -> str:
    return SUITES[suite].purpose + "." if suite in SUITES else ""


def _markdown(lines: Lines) -> str:
    sentences = "\n".join(verdict(lines))
    reading = "".join(f"- {text}\n" for text in HOW_TO_READ)
    found = _captioned(tables.versions(lines))
    return (
        f"# {TITLE}\n\n{sentences}\n\n{markdown_tables(lines)}"
        f"### How to read this\n\n{reading}\n{found}"
    )


def _html(lines: Lines) -> str:
    broken = tables.failures(lines)
    sections = [*((suite, suite) for suite in lines)]
    sections += [("choice", "Flower or TFF?"), ("reading", "How to read this")]
    sections += [("failed", broken.caption)] if broken.rows else []
    sections += [("versions", "Versions and hardware")]
    parts = [
        f'<div class="verdict">\n{page.paragraphs(verdict(lines))}</div>\n',
        page.contents(sections),
        *(_suite(suite, runs) for suite, runs in lines.items()),
        page.section("choice", "Flower or TFF?", [_words(flower_or_tff())]),
        page.section("reading", "How to read this", [page.bullets(HOW_TO_READ)]),
    ]
    if broken.rows:
        parts.append(page.section("failed", broken.caption, [broken.html(False), *_errors(lines)]))
    parts.append(
        page.section("versions", "Versions and hardware", [tables.versions(lines).html(False)])
    )
    return page.page(TITLE, parts)


def _words(table: Table) -> str:
    return table.html(has_heading=False).replace("<table>", '<table class="words">')


def _suite(suite: str, lines: Sequence[Line]) -> str:
    drawn = [
        page.drawing(d.svg, d.title, d.caption, d.is_wide) for d in figures.of_suite(suite, lines)
    ]
    broken = len(summary.failed(lines))
    counts = f"{len(lines) - broken} runs ended well, {broken} failed."
    parts = [
        page.paragraphs([f"{_purpose(suite)} {counts}".strip()], "soft"),
        page.paragraphs(reasons(suite, lines)),
        page.figures(drawn),
        *(table.html() for table in tables.of_suite(suite, lines)),
    ]
    return page.section(suite, suite, parts)


def _errors(lines: Lines) -> list[str]:
    return [
        page.folded(
            f"{summary.title(line)}, {summary.backend(line)}, seed {line['case']['seed']}: "
            f"{last_line(line)}",
            str(line.get("error", "")),
        )
        for runs in lines.values()
        for line in summary.failed(runs)
    ]


def reasons(suite: str, lines: Sequence[Line]) -> list[str]:
    """Why an engine is slower or faster than the local loop, from what was measured."""
    if suite not in TIMED:
        return []
    found = [_reason(lines, name) for name in BOTH]
    if suite == "scaling":
        found += [_scaling_reason(lines, name) for name in BOTH]
    return [text for text in found if text]


def _reason(lines: Sequence[Line], name: str) -> str:
    over = summary.overhead(lines, name)
    if over is None:
        return ""
    runs = f"{over.runs} {'pair' if over.runs == 1 else 'pairs'}"
    text = f"{NAMES[name]} takes {times(over.total)} the local loop's seconds ({runs} of runs)."
    shares = sorted(over.shares.items(), key=lambda item: -abs(item[1]))
    words = [
        f"{PARTS[part]} {100 * abs(share):.0f} %{' (less)' if share < 0 else ''}"
        for part, share in shares
        if abs(share) >= 0.05
    ]
    return f"{text} Of all that differs: {', '.join(words)}." if words else text


_WHERE = {"flower": "in its processes", "tff": "in its worker, which has a TensorFlow of its own"}


def _scaling_reason(lines: Sequence[Line], name: str) -> str:
    base, own = summary.round_cost(lines, "local"), summary.round_cost(lines, name)
    words = []
    if base.per_step and own.per_step and own.per_step > 0:
        words.append(
            f"a local step takes {own.per_step / base.per_step:.2f} times as long {_WHERE[name]}"
        )
    if base.per_client and own.per_client and own.per_client > 0:
        words.append(f"each client costs {own.per_client / base.per_client:.2f} times as much")
    if own.fixed is not None and base.fixed is not None:
        more = 1e3 * (own.fixed - base.fixed)
        words.append(
            "the part that does not depend on the number of clients takes "
            f"{abs(more):.0f} ms {'more' if more > 0 else 'less'} than the local loop's"
        )
    if not words:
        return ""
    text = "; ".join(words)
    return f"In a warm round of {NAMES[name]} {text}."
