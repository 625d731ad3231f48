"""Commands made from dataclasses of options."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import types
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import typer
from typer.testing import CliRunner

from federated.cli.command import federate
from tfcluster.cli.commands import Parsed, add_command
from tfcluster.cli.main import app
from tfcluster.cli.options import (
    ASSIGNMENTS,
    DECExecution,
    DECOptions,
    GANExecution,
    GANOptions,
    make_set_option,
    parse_assignments,
)
from tfcluster.config.presets import DEC_PRESETS, GAN_PRESETS
from tfcluster.data.catalog import DATASETS
from tfcluster.errors import InputError


@dataclasses.dataclass(frozen=True)
class Base:
    file: Annotated[Path, typer.Argument(help="A file.")]
    n_clients: Annotated[
        int | None, typer.Option("--clients", min=1, help="Clients. [default: 5]")
    ] = None
    target: Annotated[Literal["global", "local"], typer.Option(help="Of eq. 3.")] = "global"
    overrides: Annotated[dict[str, Any], ASSIGNMENTS, make_set_option("a=1")] = dataclasses.field(
        default_factory=dict
    )
    hidden: int = 3


@dataclasses.dataclass(frozen=True)
class Derived(Base):
    target: Annotated[Literal["global", "local"], typer.Option(help="Of eq. 3.")] = "local"
    dims: Annotated[
        tuple[int, ...], Parsed(str, lambda text: tuple(map(int, text.split(",")))), typer.Option()
    ] = (8, 3)


@dataclasses.dataclass(frozen=True)
class Execution:
    resume: Annotated[bool, typer.Option(help="Resume.")] = False


@pytest.fixture
def calls(monkeypatch):
    """The calls of `recorder:run`, a module that is there only while commands run."""
    found = []
    module = types.ModuleType("recorder")
    module.run = lambda *groups, console: found.append((*groups, console))
    monkeypatch.setitem(sys.modules, "recorder", module)
    return found


def nested(*groups):
    outer, inner = typer.Typer(), typer.Typer()
    outer.add_typer(inner, name="inner")
    add_command(inner, "go", "recorder:run", *groups, help="Goes.")
    add_command(inner, "other", "nowhere:run", help="Never imported.")
    return outer


def test_what_is_not_given_has_the_fields_default(calls):
    result = CliRunner().invoke(nested(Derived, Execution), ["inner", "go", "x.csv"])
    assert result.exit_code == 0, result.output
    assert calls[0][:2] == (Derived(Path("x.csv")), Execution())
    assert calls[0][0].n_clients is None


def test_what_is_given_is_parsed(calls):
    words = "inner go x.csv --clients 2 --target global --set a.b=[1,2] --set c=x --dims 4,2"
    result = CliRunner().invoke(nested(Derived, Execution), [*words.split(), "--resume"])
    assert result.exit_code == 0, result.output
    expected = Derived(Path("x.csv"), 2, "global", {"a.b": [1, 2], "c": "x"}, dims=(4, 2))
    assert calls[0][:2] == (expected, Execution(resume=True))


@pytest.mark.parametrize(
    ("words", "rule"),
    [("x.csv --clients 0", "x>=1"), ("", "Missing argument"), ("x.csv --hidden 1", "No such")],
)
def test_typer_checks_what_is_given(calls, words, rule):
    result = CliRunner().invoke(nested(Base), ["inner", "go", *words.split()])
    assert result.exit_code == 2
    assert rule in result.output
    assert not calls


def test_verbose_shows_the_log_of_tensorflow(calls, monkeypatch):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    CliRunner().invoke(nested(Execution), ["inner", "go"])
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "3"
    CliRunner().invoke(nested(Execution), ["inner", "go", "--verbose"])
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0"


@pytest.mark.parametrize("text", ["{[]: 1}", "-" * 100_000 + "1", "[" * 5000, "((((("])
def test_what_is_no_literal_is_text(text):
    assert parse_assignments([f"a={text}"]) == {"a": text}


@pytest.mark.parametrize("n_clusters", ["2:99999999999999999999", "9" * 5000, "1000001"])
def test_a_mistyped_number_of_clusters_takes_no_memory(n_clusters):
    with pytest.raises(InputError, match="must be a number from 2 to 1,000,000"):
        DECOptions(n_clusters=n_clusters).parse_n_clusters(None)


def test_options_of_one_name_are_refused():
    with pytest.raises(TypeError, match=r"must have different names.*'resume', 'resume'"):
        add_command(typer.Typer(), "go", "recorder:run", Execution, Execution, help="Goes.")


@pytest.mark.parametrize(
    ("words", "groups"),
    [
        (["train", "dec"], (DECOptions, DECExecution)),
        (["train", "clustergan"], (GANOptions, GANExecution)),
    ],
)
def test_help_tells_each_default_once(words, groups, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    result = CliRunner().invoke(app, [*words, "-h"])
    assert result.exit_code == 0, result.output
    assert "None" not in result.output
    for group in groups:
        for field in dataclasses.fields(group):
            names = {"overrides": "set", "config_file": "config"}
            name = names.get(field.name, field.name.replace("_", "-"))
            [line] = [line for line in result.output.splitlines() if f"│ --{name} " in line]
            assert line.count("[default") <= 1
            if isinstance(field.default, (str, float)):
                assert f"[default: {field.default}]" in line


def test_version_and_short_help():
    command = [sys.executable, "-m", "tfcluster"]
    version = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
    assert version.stdout.startswith("tfcluster ")
    long, short = (
        subprocess.run([*command, "train", "dec", word], capture_output=True, text=True, check=True)
        for word in ("--help", "-h")
    )
    assert long.stdout == short.stdout
    assert "--n-clusters" in long.stdout


@pytest.mark.parametrize("words", [["dec"], ["clustergan"]])
def test_help_of_federate_has_choices_and_no_doubled_default(words, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    result = CliRunner().invoke(federate, [*words, "--help"])
    assert result.exit_code == 0, result.output
    assert "None" not in result.output
    assert not any(line.count("[default") > 1 for line in result.output.splitlines())
    assert "[local|flower|tff]" in result.output
    assert "[iid|dirichlet|shards|quantity|one_class|class_share|natural]" in result.output


def test_choices_are_what_there_is():
    from federated.backends.descriptions import BACKENDS
    from federated.core.aggregation import AGGREGATIONS
    from federated.data.partition import KINDS

    known = {"partition": {*KINDS, "natural"}, "aggregation": AGGREGATIONS, "backend": BACKENDS}
    for option, names in known.items():
        command = typer.main.get_command(federate).commands["dec"]
        [choices] = [p.type.choices for p in command.params if p.name == option]
        assert {*choices} == {*names}


def test_a_name_that_is_no_choice(calls):
    result = CliRunner().invoke(nested(Base), ["inner", "go", "x.csv", "--target", "locl"])
    assert isinstance(result.exception, InputError)
    assert "Did you mean 'local'? Known: global, local." in str(result.exception)
    assert not calls


@pytest.mark.parametrize(
    ("name", "expected"), [("datasets", DATASETS), ("presets", {**DEC_PRESETS, **GAN_PRESETS})]
)
def test_listings_have_every_name(name, expected, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    result = CliRunner().invoke(app, [name])
    assert result.exit_code == 0, result.output
    first = {line.split()[0] for line in result.output.splitlines() if line.strip()}
    assert {*expected} <= first


def test_shell_completion():
    environment = {
        **os.environ,
        "_TFCLUSTER_COMPLETE": "complete_bash",
        "COMP_WORDS": "tfcluster train cl",
        "COMP_CWORD": "2",
    }
    script = "import sys; sys.argv[0] = 'tfcluster'; from tfcluster.cli.main import main; main()"
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment
    )
    assert result.stdout.split() == ["clustergan"]


def run_into(file, *words):
    command = [sys.executable, "-m", "tfcluster", *words]
    return subprocess.run(command, stdout=file, stderr=subprocess.PIPE, text=True)


def test_output_that_cannot_be_written():
    with open("/dev/full", "w") as full:
        result = run_into(full, "datasets")
    assert (result.returncode, result.stderr) == (2, "Error: No space left on device\n")


def test_a_reader_that_has_ended_is_no_mistake():
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as ended:
        result = run_into(ended, "datasets")
    assert (result.returncode, result.stderr) == (1, "")
