"""Samples as people have them in Python: data frames, sparse matrices, images; what is refused."""

import numpy as np
import pytest
import scipy.sparse

from federated.estimators.kmeans import FederatedKMeans
from tests.tfcluster.helpers import TINY, blobs
from tfcluster import DEC, InputError, validation
from tfcluster.validation import unfold

pd = pytest.importorskip("pandas")

X = blobs()[0]
NAMES = ["age", "bmi", "chol", "fbs", "sex", "k"]
SPARSE = scipy.sparse.csr_matrix(np.where(X > 0.5, X, 0))


def new():
    return DEC(3, preset=TINY, random_state=0)


def clients():
    return FederatedKMeans(3, random_state=0)


def polars_frame():
    return pytest.importorskip("polars").DataFrame(X, schema=NAMES)


@pytest.mark.parametrize("make", [lambda: pd.DataFrame(X, columns=NAMES), polars_frame])
def test_data_frames_keep_their_names(make):
    frame, dec = make(), new().fit(X)
    named = new().fit(frame)
    assert list(named.feature_names_in_) == NAMES
    np.testing.assert_array_equal(named.labels_, dec.labels_)
    np.testing.assert_array_equal(named.predict(frame), dec.labels_)
    with pytest.raises(InputError, match="feature names"):
        named.predict(frame[NAMES[::-1]])
    federated = clients().fit({"a": frame[:60], "b": frame[60:][NAMES[::-1]]})
    assert list(federated.feature_names_in_) == NAMES
    np.testing.assert_array_equal(federated.labels_, clients().fit([X[:60], X[60:]]).labels_)


def test_text_in_data_frames_is_refused_with_the_ways_out():
    frame = pd.DataFrame({"age": X[:, 0], "sex": ["f", "m"] * (len(X) // 2)})
    for fit in (new().fit, lambda frame: clients().fit({"a": frame})):
        with pytest.raises(InputError, match=r"pandas.get_dummies.*or drop them"):
            fit(frame)


def test_a_lazy_frame_is_refused():
    with pytest.raises(InputError, match=r"Pass `X.collect\(\)`"):
        new().fit(polars_frame().lazy())


@pytest.mark.parametrize(
    "kind", ["csr_matrix", "csc_matrix", "coo_matrix", "csr_array", "lil_array"]
)
def test_sparse_matrices_become_dense(kind):
    given = getattr(scipy.sparse, kind)(SPARSE)
    np.testing.assert_array_equal(unfold(given).samples, SPARSE.toarray())


def test_a_sparse_matrix_is_clustered_as_a_dense_one():
    dec, dense = new().fit(SPARSE), SPARSE.toarray()
    np.testing.assert_array_equal(dec.labels_, new().fit(dense).labels_)
    np.testing.assert_array_equal(dec.predict(SPARSE), dec.labels_)
    federated = clients().fit([SPARSE[:60], SPARSE[60:]])
    np.testing.assert_array_equal(
        federated.labels_, clients().fit([dense[:60], dense[60:]]).labels_
    )


def test_a_sparse_matrix_that_would_be_too_large_is_refused_with_its_size():
    cells = scipy.sparse.csr_matrix((200_000, 30_000), dtype=np.float32)
    for call in (new().fit, clients().fit, lambda x: clients().fit([x, x])):
        with pytest.raises(InputError, match=r"200,000 samples of 30,000 features.* 44\.7 GB"):
            call(cells)


@pytest.mark.parametrize("shape", [(120, 2, 3), (120, 2, 3, 1)])
def test_images_are_flattened_and_keep_their_shape(shape, tmp_path):
    images, flat = X.reshape(shape), new().fit(X)
    dec = new().fit(images)
    dec.save(tmp_path / "model.npz")
    for each in (dec, DEC.load(tmp_path / "model.npz")):
        assert each.image_shape_ == (2, 3)
        for given in (images, X):
            np.testing.assert_array_equal(each.predict(given), flat.labels_)
        with pytest.raises(InputError, match=r"of `fit`, 2 x 3\. Received 3 x 2"):
            each.predict(X.reshape(-1, 3, 2))
    assert not hasattr(flat, "image_shape_")
    assert not hasattr(dec.fit(X), "image_shape_")
    federated = clients().fit([images[:60], images[60:]])
    np.testing.assert_array_equal(federated.labels_, clients().fit([X[:60], X[60:]]).labels_)
    assert federated.fit(images).labels_.shape == (120,)
    with pytest.raises(InputError, match="images of one shape"):
        clients().fit([images[:60], X[60:]])


def frame(**columns):
    return pd.DataFrame(X, columns=NAMES).assign(**columns)


STRUCTURED = np.zeros(120, [("age", float), ("bmi", float)])
REFUSED = {
    "datetime": (lambda: frame(seen=pd.Timestamp("2026-01-01")), r"times in 'seen' \(datetime64"),
    "timedelta": (lambda: frame(stay=pd.Timedelta(days=3)), r"times in 'stay' \(timedelta64"),
    "times": (lambda: np.full((120, 2), "2026-01-01", "datetime64[D]"), "Convert times"),
    "mixed names": (lambda: pd.DataFrame(X, columns=["age", *range(5)]), "int, str"),
    "matrix": (lambda: np.matrix(X), r"np\.asarray"),
    "structured": (lambda: STRUCTURED, "fields age, bmi"),
    "text": (lambda: frame(sex="female"), "female"),
    "objects": (lambda: np.full((120, 2), {}, object), "number"),
    "colors": (lambda: np.zeros((120, 4, 4, 3)), r"dim 4|dimensions"),
    "complex": (lambda: X + 1j, "[Cc]omplex"),
    "none": (lambda: None, "array"),
}


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@pytest.mark.filterwarnings("ignore:X has feature names")
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_matrix_is_an_input_error(name):
    make, message = REFUSED[name]
    given, fitted = make(), new().fit(X)
    for call in (
        new().fit,
        fitted.predict,
        clients().fit,
        lambda x: clients().fit({"a": x, "b": x}),
    ):
        with pytest.raises(InputError):
            call(given)
    with pytest.raises(InputError, match=message):
        new().fit(given)


def test_the_bound_on_dense_matrices_is_in_bytes_of_float64(monkeypatch):
    monkeypatch.setattr(validation, "DENSE_BYTES", SPARSE.shape[0] * SPARSE.shape[1] * 8)
    assert unfold(SPARSE).samples.shape == SPARSE.shape
    monkeypatch.setattr(validation, "DENSE_BYTES", SPARSE.shape[0] * SPARSE.shape[1] * 8 - 1)
    with pytest.raises(InputError, match="Keep fewer features"):
        unfold(SPARSE)
