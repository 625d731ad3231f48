"""The README's Python runs as it stands."""

import re

import pytest

from benchmarks.tables import README


@pytest.mark.filterwarnings("ignore:pkg_resources:UserWarning")  # what TFF imports
def test_python_of_the_readme_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})
    assert "accuracy" in capsys.readouterr().out
