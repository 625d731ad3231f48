import io
import os
import pty
import signal

import pytest
from rich.console import Console

from tfcluster.training.progress import TrainingProgress


def record(step, **more):
    return {"phase": "cluster", "step": step, "of": 10, "loss": 0.25, **more}


def test_plain_lines_where_there_is_no_terminal():
    out = io.StringIO()
    with TrainingProgress(Console(file=out, width=100)) as progress:
        for step in range(1, 11):
            progress(record(step, changed=0.5, clusters_used=3))
    lines = [line for line in out.getvalue().splitlines() if line.strip()]
    assert len(lines) == 2  # the first and the last; the others came within 15 seconds
    assert "10/10 steps" in lines[-1]
    assert "loss 0.25000  labels changed 50.00 %  3 clusters in use" in lines[-1]


def test_bars_on_a_terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    reader, writer = pty.openpty()
    with open(writer, "w") as out:
        with TrainingProgress(Console(file=out, width=100)) as progress:
            progress({"phase": "pretrain", "step": 4, "of": 4, "loss": 1.5})
            progress(record(5))
        shown = os.read(reader, 100_000).decode()
    os.close(reader)
    assert "pretrain" in shown
    assert "5/10 steps" in shown
    assert "\x1b[" in shown


def test_no_bars_in_a_file_with_forced_colors(monkeypatch, tmp_path):
    """`FORCE_COLOR` lets rich take a file for a terminal."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    with (tmp_path / "log").open("w") as out:
        console = Console(file=out, width=100)
        assert console.is_terminal
        with TrainingProgress(console) as progress:
            for step in range(1, 11):
                progress(record(step))
    text = (tmp_path / "log").read_bytes()
    assert b"\r" not in text
    assert b"\x1b[1A" not in text  # up a line, as bars go
    assert text.count(b"steps") == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_first_interrupt_waits_for_a_record_and_handlers_come_back(number):
    before = signal.getsignal(number)
    with TrainingProgress(Console(file=io.StringIO())) as progress:
        progress(record(1))
        os.kill(os.getpid(), number)  # held back: training would be in the middle of a step
        with pytest.raises(KeyboardInterrupt):
            progress(record(2))
    assert signal.getsignal(number) is before


def test_second_interrupt_does_not_wait():
    with TrainingProgress(Console(file=io.StringIO())):
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_an_interrupt_in_the_middle_of_a_print(capfd):
    """Nothing of the console is called from the signal's handler: it may be half way in itself."""

    class Interrupting(io.StringIO):
        def write(self, text):
            signal.raise_signal(signal.SIGINT)
            return super().write(text)

    out = Interrupting()
    progress = TrainingProgress(Console(file=out, width=100))
    with pytest.raises(KeyboardInterrupt), progress:
        progress(record(1))
    assert "Stopping at the next checkpoint" in capfd.readouterr().err
    assert "Stopping" not in out.getvalue()
