"""The Jinja2 environment of the report: templates in `templates/`, numbers as filters."""

from __future__ import annotations

import functools

import jinja2

from benchmarks.compare import number_formats
from benchmarks.compare.result_lines import NAMES, PARTS


@functools.cache
def load_templates() -> jinja2.Environment:
    """Returns the environment; HTML templates escape what is put into them."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("benchmarks.compare"),
        autoescape=jinja2.select_autoescape(),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals |= {"NAMES": NAMES, "PARTS": PARTS}
    environment.filters |= {
        "ratio": number_formats.format_ratio,
        "difference": number_formats.format_difference,
        "cell": lambda text: text.replace("|", "\\|").replace("\n", " "),
    }
    return environment


def write_sentence(name: str, /, **facts: object) -> str:
    """Returns a sentence made by the macro `name` of `sentences.txt`; empty if it says nothing."""
    macro = getattr(load_templates().get_template("sentences.txt").module, name)
    return " ".join(macro(**facts).split())
