"""Configurations in files: one class per name, and files of other versions."""

import dataclasses
import importlib.metadata

import pytest

import tfcluster
from tests.tfcluster.helpers import TINY, blobs
from tfcluster import DEC, ClusterGAN, InputError
from tfcluster.config import DECConfig, from_dict, register, to_dict
from tfcluster.files import load_arrays, save_arrays


def make_class(name, module="tests.other"):
    fields = [("x", int, 1)]
    made = dataclasses.make_dataclass(name, fields, frozen=True)
    made.__module__ = module
    return made


def test_a_name_belongs_to_one_class():
    with pytest.raises(TypeError, match=r"its name belongs to tfcluster\.config\.dec\.DECConfig"):
        register(make_class("DECConfig"))
    assert from_dict(to_dict(TINY)) == TINY
    assert isinstance(from_dict(to_dict(TINY)), DECConfig)


def test_a_class_that_is_defined_again_takes_the_name():
    """As when its module is loaded again."""
    first = register(make_class("RegisteredTwice"))
    second = register(make_class("RegisteredTwice"))
    assert first is not second
    assert type(from_dict(to_dict(second(3)))) is second
    with pytest.raises(TypeError, match="belongs to tests"):
        register(make_class("RegisteredTwice", "tests.elsewhere"))


def test_an_unknown_class():
    with pytest.raises(InputError, match="Unknown configuration 'Nothing'"):
        from_dict({"kind": "Nothing"})


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "dec.npz"
    DEC(3, preset=TINY, random_state=0).fit(blobs()[0]).save(path)
    return path


def rewrite(saved, path, **changes):
    """A copy of the file with other plain values; those that are None are missing."""
    arrays, meta = load_arrays(saved)
    meta = {name: value for name, value in {**meta, **changes}.items() if value is not None}
    save_arrays(path, arrays, meta)
    return path


def test_a_file_names_its_version(saved):
    assert load_arrays(saved)[1]["version"] == tfcluster.__version__


@pytest.mark.parametrize(
    ("version", "writer"),
    [
        ("0.0.9", "tfcluster 0.0.9 wrote it"),
        (None, "an early tfcluster 0.1, which named no version, wrote it"),
    ],
)
def test_an_unknown_configuration_says_who_wrote_it(saved, tmp_path, version, writer):
    config = {"kind": "FormerConfig", "x": 1}
    path = rewrite(saved, tmp_path / "dec.npz", version=version, config=config)
    with pytest.raises(InputError, match="no fitted DEC that tfcluster") as raised:
        DEC.load(path)
    assert writer in str(raised.value)
    assert "Unknown configuration 'FormerConfig'" in str(raised.value)


def test_a_file_without_a_version_loads(saved, tmp_path):
    assert DEC.load(rewrite(saved, tmp_path / "dec.npz", version=None)).config_ == TINY


@pytest.mark.parametrize("suffix", ["", ".dev1"])
def test_a_file_of_a_newer_version_says_so(saved, tmp_path, suffix):
    ours = tfcluster.__version__
    major, minor, *_ = map(int, ours.split("."))
    version = f"{major}.{minor + 1}.0{suffix}"
    path = rewrite(saved, tmp_path / "dec.npz", version=version)
    rule = f"written by tfcluster {version}, which is newer than this version, {ours}. Update"
    with pytest.raises(InputError) as raised:
        DEC.load(path)
    assert rule in str(raised.value)


def test_a_file_of_another_estimator_or_of_none(saved, tmp_path):
    with pytest.raises(InputError, match=r"no fitted ClusterGAN .* file of another estimator, DEC"):
        ClusterGAN.load(saved)
    save_arrays(tmp_path / "list.npz", {}, [1, 2])
    with pytest.raises(InputError, match=r"no fitted DEC .* Give a file that `DEC.save` wrote"):
        DEC.load(tmp_path / "list.npz")


def test_the_package_has_a_version_and_finds_its_names():
    assert tfcluster.__version__ == importlib.metadata.version("tfcluster")
    assert "__version__" in dir(tfcluster)
    assert all(hasattr(tfcluster, name) for name in tfcluster.__all__)
