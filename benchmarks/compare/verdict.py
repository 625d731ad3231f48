"""What the lines say, in three sentences: scores, seconds, and what to choose."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from benchmarks.compare import statistics as numbers
from benchmarks.compare import summary
from benchmarks.compare.cases import ALONE, CENTRAL, DEFAULTS, SUITES
from benchmarks.compare.summary import NAMES, PARTS, Line

BOTH = ("flower", "tff")
TIMED = tuple(name for name, suite in SUITES.items() if suite.is_timed)


def verdict(lines: Mapping[str, Sequence[Line]]) -> list[str]:
    """Exactly three sentences: scores of Flower and TFF, their seconds, and what to choose.

    Args:
      lines: Suite to its lines. The suite "smoke", which is but a few rounds, counts only where
        there is nothing else.
    """
    chosen = {name: runs for name, runs in lines.items() if name != "smoke"} or dict(lines)
    timed = {name: chosen[name] for name in TIMED if name in chosen}
    if not any(_engines(runs) for runs in timed.values()) and "smoke" in lines:
        timed = {"smoke": lines["smoke"]}
    every = [line for runs in timed.values() for line in runs]
    return [_scores(timed, every), _seconds(every), _choice(chosen, every)]


def _engines(runs: Sequence[Line]) -> list[str]:
    return [name for name in BOTH if summary.of(runs, name)]


def _scores(timed: Mapping[str, Sequence[Line]], every: Sequence[Line]) -> str:
    missing = _missing(every)
    if missing:
        return missing
    found = [
        (a["scores"]["accuracy"], b["scores"]["accuracy"])
        for a, b in summary.pairs(every, *BOTH)
        if "accuracy" in a["scores"] and "accuracy" in b["scores"]
    ]
    bits = "; ".join(filter(None, (_bits(every, name) for name in BOTH)))
    if not found:
        words = "No case with scores ended well on both Flower and TFF, so none are compared"
        return _sentence(words, bits)
    where = ", ".join(name for name, runs in timed.items() if _have_scores(runs))
    runs = f"{len(found)} {_plural(len(found), 'pair')} of runs ({where})"
    if all(a == b for a, b in found):
        return _sentence(f"The accuracy of Flower and TFF was the same in {runs}", bits)
    difference = numbers.mean([a - b for a, b in found])
    if difference.n < 2:
        words = f"one pair of runs ({where}) has no interval"
    elif difference.excludes(0):
        words = f"{'Flower' if difference.value > 0 else 'TFF'} was more accurate in {runs}"
    else:
        words = f"no difference was found in {runs}"
    return _sentence(f"Accuracy of Flower less TFF is {signed(difference, 4)}: {words}", bits)


def _have_scores(runs: Sequence[Line]) -> bool:
    return any("accuracy" in a["scores"] for a, _ in summary.pairs(runs, *BOTH))


def _missing(every: Sequence[Line]) -> str | None:
    """Says so where an engine has no run that ended well."""
    ended = summary.done(every)
    absent = [name for name in BOTH if not summary.of(ended, name)]
    if not absent:
        return None
    words = []
    for name in absent:
        broken = summary.of(summary.failed(every), name)
        runs = f"all {len(broken)} runs" if len(broken) > 1 else "the only run"
        words.append(
            f"{runs} of {NAMES[name]} failed ({last_line(broken[-1])})"
            if broken
            else f"no case was run on {NAMES[name]}"
        )
    text = f"Flower and TFF are not compared here: {' and '.join(words)}"
    return _sentence(text, "; ".join(filter(None, (_bits(every, name) for name in BOTH))))


def last_line(line: Line) -> str:
    """Of an error."""
    lines = str(line.get("error", "")).strip().splitlines() or ["no error was recorded"]
    return lines[-1].strip().rstrip(".")


def _bits(every: Sequence[Line], engine: str) -> str:
    equal, runs = summary.equal_bits(every, engine)
    if not runs:
        return ""
    name = NAMES[engine]
    if equal == runs:
        count = f"all {runs} runs" if runs > 1 else "its one run"
        return f"{name} ended with the local loop's weights, bit by bit, in {count}"
    if equal:
        return f"{name} ended with the local loop's bits in {equal} of {runs} runs"
    return f"{name}'s last weights differ from the local loop's in rounding or more"


def _seconds(every: Sequence[Line]) -> str:
    found = {name: summary.overhead(every, name) for name in BOTH}
    words = [_overhead(name, over) for name, over in found.items() if over]
    if words:
        return _sentence("; ".join(words))
    over = summary.overhead(every, *BOTH)
    if over:
        times = math.exp(over.total.value)
        return (
            f"A whole run took Flower {times:.2f} times TFF's seconds; the local loop was not run."
        )
    return "No case ended well on an engine and on the local loop, so no seconds are compared."


def _overhead(name: str, over: summary.Overhead) -> str:
    inside = f"{over.runs} {_plural(over.runs, 'pair')} of runs"
    if over.largest:
        part, share = over.largest
        inside += f"; {100 * share:.0f} % of all that differs is {PARTS[part]}"
    words = f"{NAMES[name]} took {times(over.total)} the local loop's seconds for a whole run"
    words += f" ({inside})"
    return f"{words} and {times(over.warm)} for a warm round" if over.warm else words


def times(log_ratio: numbers.Estimate) -> str:
    """A geometric mean of ratios with its interval, in words."""
    text = f"{math.exp(log_ratio.value):.2f}"
    if not math.isnan(log_ratio.half):
        text += f" ({math.exp(log_ratio.low):.2f} to {math.exp(log_ratio.high):.2f})"
    return f"{text} times"


def _choice(chosen: Mapping[str, Sequence[Line]], every: Sequence[Line]) -> str:
    words = [_engine_choice(every)]
    if "aggregation" in chosen:
        words.append(_procedure_choice(chosen["aggregation"]))
    elif "heterogeneity" in chosen:
        words.append(_federation_choice(chosen["heterogeneity"]))
    return _sentence(*filter(None, words))


def _engine_choice(every: Sequence[Line]) -> str:
    found = summary.pairs(every, *BOTH)
    if not found:
        ran = [NAMES[name] for name in BOTH if summary.of(summary.done(every), name)]
        if len(ran) == 1:
            return f"Only {ran[0]} can be chosen from these runs"
        return "These runs give no ground to choose an engine"
    seconds = numbers.ratio([(a["seconds"]["total"], b["seconds"]["total"]) for a, b in found])
    peaks = [(a["memory"]["peak_mb"], b["memory"]["peak_mb"]) for a, b in found]
    known = [pair for pair in peaks if all(pair)]  # a run of a second has no sample
    memory = numbers.ratio(known) if known else None
    faster, lighter = _better(seconds), _better(memory) if memory else None
    ratios = f"Flower over TFF is {times(seconds)} in seconds"
    ratios += f" and {times(memory)} in peak memory" if memory else ""
    if seconds.n < 2:
        return f"One pair of runs is too little to choose an engine by ({ratios})"
    if faster and lighter in (faster, None):
        gain = "time and memory" if lighter else "time"
        return f"For simulations like these choose {faster} for its {gain} ({ratios})"
    if faster:
        return f"Choose {faster} if time is short and {lighter} if memory is ({ratios})"
    if lighter:
        return f"Choose {lighter} for its memory, as seconds do not differ clearly ({ratios})"
    return f"Neither seconds nor memory decide between the engines ({ratios})"


def _better(log_ratio: numbers.Estimate) -> str | None:
    """The engine that takes less, if the interval says so."""
    if not log_ratio.excludes(0):
        return None
    return "TFF" if log_ratio.value > 0 else "Flower"


def _procedure_choice(runs: Sequence[Line]) -> str:
    found = [c for c in summary.comparisons(runs, DEFAULTS) if not c.is_same]
    if not found:
        return "of the procedures there are no pairs yet"
    certain = [c for c in found if c.is_significant]
    worse = [c for c in certain if c.difference.value < 0]
    text = f"of {len({c.procedure for c in found})} procedures "
    text += _best([c for c in certain if c.difference.value > 0])
    return (
        f"{text}; shown to be worse after Holm's correction: {_named(worse, found)}"
        if worse
        else text
    )


def _best(better: Sequence[summary.Comparison]) -> str:
    if not better:
        return "none was found to beat its default after Holm's correction"
    best = max(better, key=lambda c: c.difference.value)
    return (
        f"{best.procedure} gained most over {best.reference} "
        f"({signed(best.difference, 3)} NMI on {best.partition} rows, "
        f"p = {best.adjusted:.2g} after Holm)"
    )


def _named(some: Sequence[summary.Comparison], every: Sequence[summary.Comparison]) -> str:
    """Procedures, with their partitions where those are not all that were compared."""
    words = []
    for name in dict.fromkeys(c.procedure for c in some):
        where = [c.partition for c in some if c.procedure == name]
        is_everywhere = len(where) == sum(c.procedure == name for c in every)
        words.append(name if is_everywhere else f"{name} (on {' and '.join(where)} rows)")
    return ", ".join(words)


def _federation_choice(runs: Sequence[Line]) -> str:
    """On how many kinds of rows training together beat training alone."""
    scored = [
        numbers.mean([a["scores"]["nmi"] - b["scores"]["nmi"] for a, b in group_pairs])
        for group in summary.side_by_side(runs)
        if (group_pairs := summary.pairs(group, "local", ALONE))
    ]
    better = sum(d.excludes(0) and d.value > 0 for d in scored)
    if not scored:
        return f"of {NAMES[ALONE]} and {NAMES[CENTRAL]} training there are no pairs yet"
    return (
        "training together had the higher NMI than each client alone, beyond the interval, in "
        f"{better} of {len(scored)} cases"
    )


def plus_minus(estimate: numbers.Estimate, digits: int) -> str:
    """Half the interval, or nothing where there is none."""
    return "" if math.isnan(estimate.half) else f" ± {estimate.half:.{digits}f}"


def signed(estimate: numbers.Estimate, digits: int) -> str:
    """A difference with its sign and interval; what rounds to nothing is +0."""
    value = round(estimate.value, digits) + 0.0
    return f"{value:+.{digits}f}{plus_minus(estimate, digits)}"


def _plural(count: int, word: str) -> str:
    return word if count == 1 else f"{word}s"


def _sentence(*parts: str) -> str:
    text = "; ".join(part for part in parts if part)
    return text[0].upper() + text[1:] + "."
