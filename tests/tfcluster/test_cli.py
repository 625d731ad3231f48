"""The command as a user calls it, in its own processes."""

import csv
import io
import json
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest
from rich.console import Console

from tests.tfcluster.helpers import blobs
from tfcluster import DEC, ClusterGAN
from tfcluster.cli import main as cli
from tfcluster.cli.predict import predict_file
from tfcluster.cli.score_tables import print_trials

COMMAND = [sys.executable, "-m", "tfcluster"]
TINY = [
    *("--set", "dims=[16,4]", "--set", "max_steps=60", "--set", "kmeans_restarts=2"),
    "--no-pictures",  # half of the seconds of a small run; the last option counts
]
QUICK = [*TINY, "--set", "pretraining.epochs=3"]


def tfcluster(*words, cwd):
    return subprocess.run(
        [*COMMAND, *map(str, words)], capture_output=True, text=True, cwd=cwd, timeout=250
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    result = tfcluster("train", "dec", "--out", "run", *QUICK, "--pictures", cwd=folder)
    assert result.returncode == 0, result.stderr
    return folder, result


def test_train_prints_the_comparison(finished):
    _, result = finished
    for word in ("k-means", "AE + k-means", "DEC", "ACC", "NMI", "ARI", "silh.", "CH", "sec."):
        assert word in result.stdout
    assert result.stderr == ""  # TensorFlow is quiet


def test_run_folder(finished):
    folder, _ = finished
    names = {path.name for path in (folder / "run").iterdir()}
    assert names == {
        "checkpoint.npz", "config.json", "confusion.png", "curves.png", "embedding.png", "events",
        "labels.csv", "metrics.jsonl", "model.npz", "profile.csv", "profile.png", "result.json",
        "top_confidence.png",
    }  # fmt: skip
    config = json.loads((folder / "run" / "config.json").read_text())
    assert config["seed"] == 0
    assert {"tensorflow", "numpy", "scikit-learn", "git", "machine"} <= config.keys()
    lines = (folder / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["phase"] for line in lines] == [
        *["pretrain"] * 3,
        "centroids",
        *["cluster"] * 2,
    ]
    result = json.loads((folder / "run" / "result.json").read_text())
    assert result["scores"].keys() == {"k-means", "AE + k-means", "DEC"}
    assert any((folder / "run" / "events").iterdir())


def test_profile_is_of_the_labels_in_the_units_of_the_data(finished, digits):
    folder, result = finished
    labels = DEC.load(folder / "run" / "model.npz").labels_
    with (folder / "run" / "profile.csv").open() as file:
        rows = {(int(row["cluster"]), row["feature"]): row for row in csv.DictReader(file)}
    assert len(rows) == 10 * 64
    own = 16 * digits[0][labels == 3, 8 * 4 + 2]
    assert int(rows[3, "pixel_4_2"]["n_samples"]) == len(own)
    assert float(rows[3, "pixel_4_2"]["mean"]) == pytest.approx(own.mean(), rel=1e-5)
    assert "most distinct" in result.stdout


def test_labels_are_the_models(finished):
    folder, _ = finished
    with (folder / "run" / "labels.csv").open() as file:
        labels = [int(row["label"]) for row in csv.DictReader(file)]
    np.testing.assert_array_equal(labels, DEC.load(folder / "run" / "model.npz").labels_)


def test_predict_labels_new_samples(finished, digits):
    folder, _ = finished
    np.save(folder / "new.npy", digits[0][:7])
    to_file = tfcluster("predict", "run", "new.npy", "--out", "new.csv", cwd=folder)
    assert to_file.returncode == 0, to_file.stderr
    lines = (folder / "new.csv").read_text().splitlines()
    assert predict_file(folder / "run", str(folder / "new.npy")).splitlines() == lines
    labels = [int(line.split(",")[1]) for line in lines[1:]]
    np.testing.assert_array_equal(labels, DEC.load(folder / "run" / "model.npz").labels_[:7])


def test_range_of_clusters(tmp_path):
    X, _ = blobs()
    np.save(tmp_path / "x.npy", X)
    words = ("train", "dec", "--dataset", "x.npy", "--n-clusters", "2:4", "--out", "run", *QUICK)
    words += ("--pictures",)
    result = tfcluster(*words, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert "Recommended: 3 clusters: the silhouette is" in " ".join(result.stdout.split())
    found = json.loads((tmp_path / "run" / "result.json").read_text())
    table = found["table"]
    assert found["recommendation"]["n_clusters"] == 3
    assert [row["n_clusters"] for row in table] == [2, 3, 4]
    assert (tmp_path / "run" / "n_clusters.png").stat().st_size > 0
    one = tmp_path / "run" / "3_clusters"
    names = {"model.npz", "labels.csv", "metrics.jsonl", "events", "embedding.png", "result.json"}
    assert names <= {path.name for path in one.iterdir()}
    assert (
        tfcluster("predict", one, "x.npy", cwd=tmp_path).stdout == (one / "labels.csv").read_text()
    )

    several = tfcluster("predict", "run", "x.npy", cwd=tmp_path)
    assert several.returncode == 2
    assert all(f"run/{n}_clusters" in several.stderr for n in (2, 3, 4))

    before = (one / "model.npz").read_bytes()
    (tmp_path / "run" / "4_clusters" / "checkpoint.npz").unlink()  # as if it had been stopped there
    again = tfcluster(*words, "--resume", "--no-pictures", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert (one / "model.npz").read_bytes() == before
    assert json.loads((tmp_path / "run" / "result.json").read_text())["table"][2] | {
        "seconds": 0
    } == table[2] | {"seconds": 0}


def kill(words, folder, after_lines):
    """Kills a run in `killed` by SIGKILL once it has written more than `after_lines` records."""
    process = subprocess.Popen(
        [*COMMAND, *words, "--out", "killed", "--checkpoint-seconds", "0"],
        cwd=folder,
        stdout=subprocess.DEVNULL,
    )
    lines = folder / "killed" / "metrics.jsonl"
    while not (lines.exists() and len(lines.read_text().splitlines()) > after_lines):
        assert process.poll() is None, "the run ended before it was killed"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (folder / "killed" / "model.npz").exists()
    return lines


def assert_same_model(first, second):
    with np.load(first / "model.npz") as a, np.load(second / "model.npz") as b:
        assert a.files == b.files
        for name in set(a.files) - {"__meta__"}:
            np.testing.assert_array_equal(a[name], b[name])


def test_killed_run_resumes_to_the_same_bits(tmp_path, finished):
    """After SIGKILL and --resume the weights are those of an uninterrupted run."""
    words = ["train", "dec", *TINY, "--set", "pretraining.epochs=300"]
    whole = tfcluster(*words, "--out", "whole", cwd=tmp_path)
    assert whole.returncode == 0, whole.stderr
    lines = kill(words, tmp_path, after_lines=40)

    resumed = tfcluster(
        "train", "dec", "--out", "killed", "--resume", "--no-pictures", cwd=tmp_path
    )
    assert resumed.returncode == 0, resumed.stderr
    assert_same_model(tmp_path / "whole", tmp_path / "killed")
    assert len(lines.read_text().splitlines()) == 303  # no line twice


def test_interrupt_keeps_the_run(tmp_path):
    words = ["train", "dec", *TINY, "--set", "pretraining.epochs=100000", "--out", "run"]
    process = subprocess.Popen(
        [*COMMAND, *words],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    lines = tmp_path / "run" / "metrics.jsonl"
    while not lines.exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "--resume" in output
    assert "Interrupted" in errors
    assert "Traceback" not in errors
    assert (tmp_path / "run" / "checkpoint.npz").exists()
    other = tfcluster(*words, "--seed", "1", "--resume", cwd=tmp_path)
    assert other.returncode == 2
    assert "seed was 0, now 1" in " ".join(other.stderr.split())


GAN_QUICK = [
    *("--set", "steps=120", "--set", "batch_size=16", "--probe-every", "60"),
    *("--set", "critic_steps=2"),  # each is traced, which takes a second
    "--no-pictures",
]


@pytest.fixture(scope="module")
def generated(tmp_path_factory, digits):
    folder = tmp_path_factory.mktemp("gan")
    X, y = digits
    np.savez(folder / "digits.npz", x=X[:400], y=y[:400])
    words = ("train", "clustergan", "--dataset", "digits.npz", "--preset", "digits", "--out", "run")
    words += (*GAN_QUICK, "--trials", "2", "--pictures")
    result = tfcluster(*words, cwd=folder)
    assert result.returncode == 0, result.stderr
    return folder, words, result


def test_clustergan_prints_the_comparison(generated):
    _, _, result = generated
    for word in ("k-means", "ClusterGAN", "argmax of z_c", "back-propagation", "is kept: the best"):
        assert word in result.stdout
    assert "by silhouette in the input space, which needs no labels" in " ".join(
        result.stdout.split()
    )
    assert result.stderr == ""


def test_clustergan_run_folder(generated):
    folder, _, _ = generated
    names = {path.name for path in (folder / "run").iterdir()}
    assert names == {"config.json", "model.npz", "result.json", "seed_0", "seed_1", "trials.png"}
    assert {path.name for path in (folder / "run" / "seed_1").iterdir()} == {
        "checkpoint.npz", "config.json", "confusion.png", "critic.keras", "curves.png",
        "embedding.png", "encoder.keras", "events", "generator.keras", "interpolation.png",
        "labels.csv", "metrics.jsonl", "model.npz", "profile.csv", "profile.png",
        "reconstructions.png", "result.json", "samples.png",
    }  # fmt: skip
    lines = (folder / "run" / "seed_0" / "metrics.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert [record["step"] for record in records] == [60, 120]
    assert {"loss", "critic_loss", "purity", "nmi", "ari", "argmax_purity"} <= records[0].keys()
    result = json.loads((folder / "run" / "result.json").read_text())
    assert [line["seed"] for line in result["trials"]] == [0, 1]
    best = max(result["trials"], key=lambda line: line["selection"])
    assert best["selection"] == result["selection"]
    assert result["choose_by"] == "silhouette"  # though there are labels
    assert all(x["selection"] == pytest.approx(x["silhouette"], abs=0.1) for x in result["trials"])
    assert all(0 < x["validation_purity"] <= 1 for x in result["trials"])
    purities = [line["purity"] for line in result["trials"]]
    assert result["summary"]["purity"][0] == pytest.approx(np.mean(purities))
    assert result["summary"]["purity"][1] == pytest.approx(np.std(purities, ddof=1))


def test_clustergan_keeps_the_best_trial(generated, digits):
    folder, _, _ = generated
    result = json.loads((folder / "run" / "result.json").read_text())
    best = max(result["trials"], key=lambda line: line["selection"])["seed"]
    model = ClusterGAN.load(folder / "run" / "model.npz")
    assert model.random_state == best
    np.save(folder / "new.npy", digits[0][:400])
    labels = tfcluster("predict", "run", "new.npy", cwd=folder).stdout
    assert labels == (folder / "run" / f"seed_{best}" / "labels.csv").read_text()


def test_clustergan_without_labels(tmp_path):
    X, _ = blobs()
    np.save(tmp_path / "x.npy", X)
    words = ("train", "clustergan", "--dataset", "x.npy", "--n-clusters", "3", *GAN_QUICK)
    result = tfcluster(*words, "--trials", "2", "--out", "run", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "by silhouette in the input space" in " ".join(result.stdout.split())
    lines = json.loads((tmp_path / "run" / "result.json").read_text())["trials"]
    assert all(line["selection"] == pytest.approx(line["silhouette"]) for line in lines)


def test_a_trial_whose_score_is_nan_is_not_kept():
    records = [{"seed": seed, "selection": value, "silhouette": value}
             for seed, value in ((3, np.nan), (4, -0.5), (5, -0.7))]  # fmt: skip
    console = Console(file=io.StringIO(), width=100)
    print_trials(console, records, "silhouette")
    assert "Seed 4 is kept: the best of 3" in console.file.getvalue()


def test_killed_clustergan_resumes_to_the_same_bits(tmp_path):
    np.save(tmp_path / "x.npy", blobs()[0])
    words = ["train", "clustergan", "--dataset", "x.npy", "--n-clusters", "3"]
    words += ["--preset", "pendigits", "--set", "steps=300", "--probe-every", "10"]
    words += ["--set", "critic_steps=2"]
    words += ["--no-pictures"]
    whole = tfcluster(*words, "--out", "whole", cwd=tmp_path)
    assert whole.returncode == 0, whole.stderr
    kill(words, tmp_path, after_lines=12)
    resumed = tfcluster(*words, "--out", "killed", "--resume", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert_same_model(tmp_path / "whole", tmp_path / "killed")


def bad_files(folder):
    X, _ = blobs()
    np.save(folder / "nan.npy", np.where(X > 0.7, np.nan, X))
    np.save(folder / "inf.npy", np.where(X > 0.7, np.inf, X))
    np.save(folder / "text.npy", np.full((5, 2), "a"))
    np.save(folder / "rank1.npy", X[0])
    np.save(folder / "norows.npy", X[:0])
    np.save(folder / "few.npy", X[:3])
    np.save(folder / "wide.npy", 9 * X)
    (folder / "one_class.csv").write_text("a,b,label\n1,2,x\n3,4,x\n5,7,x\n")
    with h5py.File(folder / "plain.h5", "w") as file:
        file["numbers"] = [1, 2]
    np.save(folder / "same.npy", np.ones((50, 3)))
    np.save(folder / "pickled.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.savez(folder / "cut.npz", X=X)
    (folder / "cut.npz").write_bytes((folder / "cut.npz").read_bytes()[:-40])
    (folder / "words.csv").write_text("a,b\n1,2\n3,four\n")
    (folder / "taken").mkdir()
    (folder / "taken" / "file").write_text("")
    return folder


@pytest.fixture(scope="module")
def bad(tmp_path_factory):
    return bad_files(tmp_path_factory.mktemp("bad"))


TRAIN = ["train", "dec", "--out", "run", *QUICK]
GAN = ["train", "clustergan", "--out", "run", *GAN_QUICK]
NAN = ["--dataset", "nan.npy", "--n-clusters", "5"]
MISTAKES = {
    "nan": ([*TRAIN, *NAN, "--no-standardize"], "NaN"),
    "infinite": ([*TRAIN, "--dataset", "inf.npy", "--n-clusters", "5"], "infinity"),
    "text": ([*TRAIN, "--dataset", "text.npy", "--n-clusters", "5"], "must be real numbers"),
    "csv text": ([*TRAIN, "--dataset", "words.csv", "--n-clusters", "2"], "received 'four'"),
    "rank": ([*TRAIN, "--dataset", "rank1.npy", "--n-clusters", "5"], "shape"),
    "no samples": ([*TRAIN, "--dataset", "norows.npy", "--n-clusters", "5"], "shape (0, 6)"),
    "few samples": ([*TRAIN, "--dataset", "few.npy", "--n-clusters", "5"], ">= n_clusters=5"),
    "identical": ([*TRAIN, "--dataset", "same.npy", "--n-clusters", "5"], "samples are identical"),
    "pickled": ([*TRAIN, "--dataset", "pickled.npy", "--n-clusters", "5"], "Python objects"),
    "truncated": ([*TRAIN, "--dataset", "cut.npz", "--n-clusters", "5"], "cannot be read"),
    "one class": ([*TRAIN, "--dataset", "one_class.csv"], "must be at least 2"),
    "dims": ([*TRAIN, "--set", "dims=5"], "`dims` must be a tuple"),
    "no weights": ([*TRAIN, "--pretrained", "plain.h5"], "Pretrained weights must be"),
    "brackets": ([*TRAIN, "--dataset", "foo[/bar].csv"], "foo[/bar].csv"),
    "huge range": ([*TRAIN, "--n-clusters", "2:99999999999"], "from 2 to 1,000,000"),
    "unknown home": ([*TRAIN, "--dataset", "~nobody-here/x.csv"], "nobody-here"),
    "one cluster": ([*TRAIN, "--n-clusters", "1"], "from 2 to 1,000,000"),
    "range": ([*TRAIN, "--n-clusters", "7:3"], "from 2 to 1,000,000"),
    "no labels": ([*TRAIN, "--dataset", "few.npy"], "--n-clusters must say"),
    "data set": ([*TRAIN, "--dataset", "digit"], "Did you mean 'digits'"),
    "preset": ([*TRAIN, "--preset", "kears"], "Did you mean 'keras'"),
    "field": ([*TRAIN, "--set", "max_step=3"], "Did you mean 'max_steps'"),
    "assignment": ([*TRAIN, "--set", "max_steps"], "FIELD=VALUE"),
    "option": (["train", "dec", "--out", "run", "--sed", "1"], "No such option"),
    "no run": (["train", "dec", "--out", "run", "--resume"], "holds no run"),
    "taken": (["train", "dec", "--out", "taken"], "not empty"),
    "not writable": (["train", "dec", "--out", "nan.npy/run"], "Cannot write"),
    "gan range": ([*GAN, "--n-clusters", "2:4"], "no range"),
    "gan preset": ([*GAN, "--preset", "pendigit"], "Did you mean 'pendigits'"),
    "gan field": ([*GAN, "--set", "step=3"], "Did you mean 'steps'"),
    "gan precision": ([*GAN, "--set", "precision=half"], "float32 or bfloat16"),
    "gan image": ([*GAN, "--preset", "mnist"], "28 x 28"),
    "gan steps": ([*GAN, "--set", "steps=0"], "`steps` must be positive"),
    "gan seeds": ([*GAN, "--seed", "4294967295", "--trials", "2"], "must not be above 4294967295"),
    "gan batch": ([*GAN, "--set", "batch_size=2000"], "n_samples=1797 should be >= batch_size"),
    "gan scale": (
        [*GAN, "--dataset", "wide.npy", "--n-clusters", "2", "--preset", "pendigits"], "in [0, 1]"
    ),
    "gan purity": (
        [*GAN, "--dataset", "wide.npy", "--n-clusters", "2", "--choose-by", "purity"],
        "needs labels",
    ),
    "gan choice": ([*GAN, "--choose-by", "accuracy"], "Known: purity, silhouette"),
    "gan NaN": ([*GAN, *NAN, "--no-standardize"], "NaN"),
    "predict nothing": (["predict", "run", "nan.npy"], "holds no run"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_end_in_one_line_and_nothing_written(bad, name, monkeypatch, capsys):
    words, rule = MISTAKES[name]
    before = sorted(bad.rglob("*"))
    monkeypatch.chdir(bad)
    monkeypatch.setattr(sys, "argv", ["tfcluster", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    errors = capsys.readouterr().err
    assert rule in errors
    assert len(errors.splitlines()) == (4 if name == "option" else 1)  # with click's usage lines
    assert sorted(bad.rglob("*")) == before


def test_a_mistake_in_a_process_of_its_own(bad):
    words, rule = MISTAKES["nan"]
    result = tfcluster(*words, cwd=bad)
    assert result.returncode == 2
    assert rule in result.stderr
    assert "Traceback" not in result.stderr


def test_features_that_differ_from_the_fitted_ones(finished):
    folder, _ = finished
    np.save(folder / "narrow.npy", np.zeros((3, 5)))
    result = tfcluster("predict", "run", "narrow.npy", cwd=folder)
    assert result.returncode == 2
    assert "expecting 64 features" in " ".join(result.stderr.split())


def test_a_folder_that_holds_a_run(finished):
    folder, _ = finished
    result = tfcluster("train", "dec", "--out", "run", *QUICK, cwd=folder)
    assert result.returncode == 2
    assert "already holds a run" in " ".join(result.stderr.split())


def test_a_model_of_another_run(finished):
    """Its columns and its scaling may differ, and its labels would look like this run's."""
    folder, _ = finished
    (folder / "mixed").mkdir()
    (folder / "mixed" / "model.npz").write_bytes((folder / "run" / "model.npz").read_bytes())
    config = json.loads((folder / "run" / "config.json").read_text())
    (folder / "mixed" / "config.json").write_text(json.dumps({**config, "id": "0123456789abcdef"}))
    result = tfcluster("predict", "mixed", "digits", cwd=folder)
    assert result.returncode == 2
    assert "is not of the run in this folder" in result.stderr
    assert result.stdout == ""


def test_a_damaged_model(finished):
    folder, _ = finished
    (folder / "copy").mkdir()
    for name, n_cut in (("config.json", 0), ("model.npz", 5)):
        whole = (folder / "run" / name).read_bytes()
        (folder / "copy" / name).write_bytes(whole[: len(whole) - n_cut])
    result = tfcluster("predict", "copy", "digits", cwd=folder)
    assert result.returncode == 2
    assert "not a whole tfcluster file" in " ".join(result.stderr.split())
