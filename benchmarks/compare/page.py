"""The frame of the page: its style and its parts. It loads nothing."""

from __future__ import annotations

import html
from collections.abc import Sequence

STYLE = """
:root { color-scheme: light dark;
  --paper: #ffffff; --ink: #22262b; --soft: #5b646e; --line: #d5d9de; --tint: #f4f6f8;
  --link: #0b5cad; --bad: #b3261e;
  --local: #6f7780; --flower: #d95f02; --tff: #2a78c8; --central: #832db6; --alone: #8a6d3b;
  --part-1: #92a8bd; --part-2: #a96b59; --part-3: #d9a21b; --part-4: #bd1f01; --part-5: #3f90da;
  --part-6: #5aa39f; --part-7: #832db6; --part-8: #7d7f5a; --average: #1b7f79; --split: #b5305f; }
@media (prefers-color-scheme: dark) { :root {
  --paper: #15181c; --ink: #e4e7ea; --soft: #a3acb5; --line: #3a4149; --tint: #1e2328;
  --link: #7db7f2; --bad: #ff9d93;
  --local: #a6aeb7; --flower: #ff9442; --tff: #62adf5; --central: #c48bea; --alone: #ccab73;
  --part-1: #8fa6bd; --part-2: #c48a78; --part-3: #e5b53f; --part-4: #ef6a50; --part-5: #5fa8ea;
  --part-6: #72bdb8; --part-7: #b57be0; --part-8: #a9ab83; --average: #4fc4bb; --split: #f07fa6; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 16px; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 8px 0 16px; }
h2 { font-size: 1.3rem; margin: 40px 0 8px; padding-top: 8px; border-top: 1px solid var(--line); }
h3 { font-size: 1.05rem; margin: 24px 0 8px; }
p, li { max-width: 75ch; overflow-wrap: anywhere; }
a { color: var(--link); }
.verdict { background: var(--tint); border-left: 4px solid var(--tff); padding: 8px 16px; }
.verdict p { max-width: 90ch; }
.soft { color: var(--soft); }
nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: 4px 16px; padding: 0; }
.scroll { overflow-x: auto; max-width: 100%; margin: 8px 0 16px; }
table { border-collapse: collapse; font-size: 0.86rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: 4px 10px 4px 0;
  border-bottom: 1px solid var(--line); }
thead th { vertical-align: bottom; color: var(--soft); font-weight: 600; }
tbody th { font-weight: 400; min-width: 150px; }
td.short { white-space: nowrap; }
@media (max-width: 700px) { table { width: max-content; max-width: 1000px; } }
table.words { max-width: 1000px; }
table.words td { min-width: 220px; max-width: 60ch; white-space: normal; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr));
  gap: 16px 24px; }
figure { margin: 0; min-width: 0; }
figure.wide { grid-column: 1 / -1; }
figcaption { font-size: 0.9rem; }
figcaption b { display: block; }
figure svg { display: block; width: 100%; height: auto; }
figure svg * { stroke-linejoin: round; stroke-linecap: butt; }
figure svg text { font-family: system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
summary { cursor: pointer; color: var(--soft); margin: 8px 0; }
pre { overflow-x: auto; max-width: 100%; background: var(--tint); padding: 8px; font-size: 0.8rem; }
.bad { color: var(--bad); }
"""


def page(title: str, parts: Sequence[str]) -> str:
    """The whole document.

    Args:
      title: Plain text.
      parts: HTML, one after another.
    """
    return (
        '<!doctype html>\n<html lang="en-GB">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n<h1>{html.escape(title)}</h1>\n{''.join(parts)}</main>\n</body>\n</html>\n"
    )


def section(name: str, heading: str, parts: Sequence[str]) -> str:
    """A part of the page under a heading, with a name to link to."""
    return (
        f'<section id="{html.escape(name)}" aria-labelledby="{html.escape(name)}-h">\n'
        f'<h2 id="{html.escape(name)}-h">{html.escape(heading)}</h2>\n{"".join(parts)}</section>\n'
    )


def paragraphs(texts: Sequence[str], kind: str = "") -> str:
    """Plain texts as paragraphs."""
    attribute = f' class="{kind}"' if kind else ""
    return "".join(f"<p{attribute}>{html.escape(text)}</p>\n" for text in texts)


def bullets(texts: Sequence[str]) -> str:
    """Plain texts as a list."""
    return "<ul>\n" + "".join(f"<li>{html.escape(text)}</li>\n" for text in texts) + "</ul>\n"


def contents(links: Sequence[tuple[str, str]]) -> str:
    """Links to the sections."""
    items = "".join(
        f'<li><a href="#{html.escape(name)}">{html.escape(text)}</a></li>\n' for name, text in links
    )
    return f'<nav aria-label="Contents"><ul>\n{items}</ul></nav>\n'


def folded(summary: str, text: str) -> str:
    """Plain text that opens on demand."""
    return (
        f"<details><summary>{html.escape(summary)}</summary>\n<pre>{html.escape(text)}</pre>\n"
        "</details>\n"
    )


def drawing(svg: str, title: str, caption: str, is_wide: bool = False) -> str:
    """A figure with its words; `svg` is markup, the rest plain text."""
    kind = ' class="wide"' if is_wide else ""
    return (
        f"<figure{kind}>\n{svg}\n<figcaption><b>{html.escape(title)}</b> "
        f'<span class="soft">{html.escape(caption)}</span></figcaption>\n</figure>\n'
    )


def figures(drawings: Sequence[str]) -> str:
    """Figures beside one another, where there is room."""
    return f'<div class="figures">\n{"".join(drawings)}</div>\n' if drawings else ""
