"""What reaches the terminal."""

import io

import numpy as np
import pytest

from tfcluster.cli.cluster_tables import print_partition
from tfcluster.cli.terminal import CleanConsole, clean


@pytest.mark.parametrize(
    ("text", "encoding", "shown"),
    [("a\x1b[31mred", "utf-8", r"a\x1b[31mred"), ("a\nb\tc", "utf-8", "a\nb\tc"),
     ("\x07\x9b\r", "utf-8", r"\x07\x9b\r"), ("é", "utf-8", "é"), ("é", "ascii", r"\xe9"),
     ("a\u202eb", "utf-8", r"a\u202eb"), ("\udce9", "utf-8", r"\udce9")],
)  # fmt: skip
def test_control_characters_are_shown(text, encoding, shown):
    assert clean(text, encoding) == shown


def test_names_of_clients_do_not_control_the_terminal():
    output = io.StringIO()
    console = CleanConsole(file=output, width=100)
    name = "ward\x1b]0;title\x07"
    print_partition(console, np.array([[3], [4]]), [name, "b"], ("samples",))
    console.print(name, markup=False)
    assert output.getvalue().count(r"ward\x1b]0;title\x07") == 2
    assert not {"\x1b", "\x07"} & set(output.getvalue())
