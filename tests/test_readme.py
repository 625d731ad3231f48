"""The README's Python runs as it stands."""

import re

import pytest

from benchmarks.readme import README
from tfcluster.config import DEC_PRESETS, override, presets


@pytest.mark.filterwarnings("ignore:.*pkg_resources")  # what TFF imports
def test_python_of_the_readme_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    less = {"pretraining.epochs": 2, "max_steps": 60}  # the README's minute is no test's
    short = override(DEC_PRESETS["keras"], less)
    monkeypatch.setattr(presets, "DEC_PRESETS", {**DEC_PRESETS, "keras": short})
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})
    assert "accuracy" in capsys.readouterr().out
