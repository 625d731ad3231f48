import os
import resource
import subprocess
import sys
import threading
import types
from typing import ClassVar

import numpy as np
import pytest

from tfcluster import files
from tfcluster.data.loading import load_data
from tfcluster.errors import InputError
from tfcluster.files import atomic_write, check_identity, load_arrays, save_arrays

ARRAYS = {"a": np.arange(6.0).reshape(2, 3), "b": np.array(["x", "yz"]), "empty": np.zeros((0, 3))}


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "file.npz"
    save_arrays(path, ARRAYS, {"number": 1, "list": [1.5, None]})
    return path


def test_round_trip(saved):
    arrays, meta = load_arrays(saved)
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)
        assert arrays[name].dtype == array.dtype
    assert meta == {"number": 1, "list": [1.5, None]}


def test_identities_are_compared_as_json_has_them(tmp_path):
    identity = {"seed": 1, "dims": (8, 3), "names": {"a": 1.5}}
    save_arrays(tmp_path / "c.npz", {}, {"identity": identity})
    found = load_arrays(tmp_path / "c.npz")[1]["identity"]
    check_identity("c.npz", identity, {**found, "more": 1})
    with pytest.raises(InputError, match="belongs to another run: seed, more differ"):
        check_identity("c.npz", {**identity, "seed": 2, "more": 0}, found)


def test_numpy_opens_it(saved):
    with np.load(saved) as file:
        np.testing.assert_array_equal(file["a"], ARRAYS["a"])


@pytest.mark.parametrize("keep", [0, 10, 200, -1])
def test_truncated(saved, keep):
    saved.write_bytes(saved.read_bytes()[:keep])
    with pytest.raises(InputError, match="not a whole tfcluster file"):
        load_arrays(saved)


def test_any_flipped_byte_is_noticed_or_harmless(saved):
    whole = saved.read_bytes()
    for position in range(0, len(whole), 7):
        broken = bytearray(whole)
        broken[position] ^= 0x10
        saved.write_bytes(bytes(broken))
        try:
            arrays, _ = load_arrays(saved)
        except InputError:
            continue
        for name, array in ARRAYS.items():  # the byte was one zip does not use
            np.testing.assert_array_equal(arrays[name], array)


def test_changed_values_fail_the_checksum(saved):
    with np.load(saved) as file:
        content = dict(file)
    content["a"] = content["a"] + 1
    np.savez(saved, **content)
    with pytest.raises(InputError, match="checksum"):
        load_arrays(saved)


def test_pickled_objects_are_refused(tmp_path):
    path = tmp_path / "file.npz"
    np.savez(path, a=np.array([{}], dtype=object))
    with pytest.raises(InputError, match="pickled"):
        load_arrays(path)


def test_missing(tmp_path):
    with pytest.raises(InputError, match="no file"):
        load_arrays(tmp_path / "none.npz")


def test_an_error_while_writing_leaves_the_old_file_and_no_other(saved):
    before = saved.read_bytes()

    def write_half():
        with atomic_write(saved) as file:
            file.write(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_half()
    assert saved.read_bytes() == before
    assert os.listdir(saved.parent) == [saved.name]


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="Cannot write"):
        save_arrays(tmp_path / "file" / "x.npz", ARRAYS, {})


def test_a_link_is_followed(saved):
    link = saved.with_name("link.npz")
    link.symlink_to(saved.name)
    save_arrays(link, {"a": np.ones(2)}, {})
    assert link.is_symlink()
    np.testing.assert_array_equal(load_arrays(saved)[0]["a"], [1, 1])


@pytest.mark.parametrize("path", ["", ".", "/", "/dev/null"])
def test_what_is_no_ordinary_file_stays(path):
    with pytest.raises(InputError, match="no ordinary file"):
        save_arrays(path, ARRAYS, {})


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="Permission denied"):
        save_arrays(tmp_path / "x.npz", ARRAYS, {})


def test_full_disk(saved):
    """The kernel itself answers ENOSPC: the temporary file is /dev/full."""
    before = saved.read_bytes()
    (saved.parent / f".{saved.name}.{os.getpid()}.{threading.get_ident()}").symlink_to("/dev/full")
    with pytest.raises(InputError, match="No space left on device"):
        save_arrays(saved, {"a": np.zeros(100_000)}, {})
    assert saved.read_bytes() == before
    assert os.listdir(saved.parent) == [saved.name]


def test_file_size_limit(saved):
    """A limit met in the middle of the file, in a process of its own."""
    before = saved.read_bytes()
    code = (
        "import signal, sys, numpy as np\n"
        "from tfcluster.training.checkpoint import save_arrays\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "save_arrays(sys.argv[1], {'a': np.zeros(100_000)}, {})\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(saved)],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)),
    )
    assert "InputError: Cannot write" in result.stderr
    assert saved.read_bytes() == before
    assert os.listdir(saved.parent) == [saved.name]


def test_a_file_that_inflates_beyond_memory_is_refused_unread(tmp_path, monkeypatch):
    path = tmp_path / "zeros.npz"
    np.savez_compressed(path, X=np.zeros((1000, 1000)))
    assert path.stat().st_size < 20_000
    files.check_inflated_size(path)
    monkeypatch.setattr(files, "find_size_limit", lambda: 2**22)
    for read in (load_arrays, load_data):
        with pytest.raises(InputError, match="that inflate to"):
            read(path)


class TestWrongInside:
    """Whole files, with the right checksum, that are no checkpoints of this run."""

    IDENTITY: ClassVar = {"seed": 1}
    METAS: ClassVar = {
        "a model": ({"estimator": "DEC", "history": []}, "belongs to another run: seed"),
        "a list": ([], "holds no checkpoint"),
        "identity of another type": ({"identity": 3}, "holds no checkpoint"),
        "nothing else": ({"identity": IDENTITY}, "holds no checkpoint"),
        "no records": ({"identity": IDENTITY, "history": []}, "holds no checkpoint"),
        "records of another type": ({"identity": IDENTITY, "history": [1]}, "holds no checkpoint"),
        "no slots": (
            {"identity": IDENTITY, "history": [{"phase": "pretrain", "step": 1}]},
            "holds no checkpoint",
        ),
    }

    @pytest.mark.parametrize("name", METAS)
    def test_of_a_fit(self, tmp_path, name):
        import tensorflow as tf

        from tfcluster.training.checkpoint import FitCheckpoint

        meta, rule = self.METAS[name]
        save_arrays(tmp_path / "c.npz", {"a": np.ones(2)}, meta)
        phase = types.SimpleNamespace(name="pretrain", state=[tf.Variable(1.0)])
        checkpoint = FitCheckpoint(tmp_path / "c.npz", self.IDENTITY, dict, lambda _: None)
        with pytest.raises(InputError, match=rule):
            checkpoint.restore([phase])

    @pytest.mark.parametrize("name", METAS)
    def test_of_rounds(self, tmp_path, name):
        from federated.core.rounds import RoundCheckpoint

        meta, rule = self.METAS[name]
        save_arrays(tmp_path / "c.npz", {"a": np.ones(2)}, meta)
        with pytest.raises(InputError, match=rule):
            RoundCheckpoint(tmp_path / "c.npz", self.IDENTITY).restore([])
