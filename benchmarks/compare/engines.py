"""Flower or TFF? What each can do, with the source of every statement."""

from __future__ import annotations

from benchmarks.compare.tables import Link, Stated, Table

FLOWER, TFF = "Flower (flwr 1.23.0)", "TensorFlow Federated (0.87.0)"

_DOCS = "https://flower.ai/docs/framework"
_TENSORFLOW = "https://www.tensorflow.org/federated"
_FLWR = Link("PyPI", "https://pypi.org/project/flwr/1.23.0/")
_FEDERATED = Link("PyPI", "https://pypi.org/project/tensorflow-federated/0.87.0/")
_FAQ = Link("TFF's FAQ", f"{_TENSORFLOW}/faq")
_QUIRKS = Link("README.md, register of quirks")
_EXACT = Link("README.md, what is exact; tests/federated/test_parity.py")

_ROWS = (
    (
        "what clients may run",
        Stated(
            "Any Python, with any framework or none; arrays travel as NumPy's",
            (_FLWR, Link("NumPyClient", f"{_DOCS}/ref-api/flwr.client.html")),
        ),
        Stated(
            "TensorFlow 2.14 graphs within typed computations, which its own runtime carries out",
            (_FEDERATED, Link("TFF for research", f"{_TENSORFLOW}/tff_for_research")),
        ),
    ),
    (
        "algorithms included",
        Stated(
            "FedAvg with and without momentum, FedAdam, FedYogi, FedAdagrad, FedProx, median, "
            "trimmed mean, Krum, Bulyan, QFedAvg; no clustering",
            (Link("strategies", f"{_DOCS}/ref-api/flwr.serverapp.strategy.html"),),
        ),
        Stated(
            "FedAvg, FedSGD, FedProx, Mime Lite, federated reconstruction, k-means",
            (
                Link(
                    "tff.learning.algorithms",
                    f"{_TENSORFLOW}/api_docs/python/tff/learning/algorithms",
                ),
            ),
        ),
    ),
    (
        "same numbers as a plain loop",
        Stated("The same bits", (_EXACT,)),
        Stated("The same up to rounding: its worker is built otherwise", (_EXACT,)),
    ),
    (
        "maintenance",
        Stated(
            "Active: 1.40.0 came in October 2026. Here 1.23.0, the newest that stands beside TFF's "
            "protobuf",
            (
                Link("releases", "https://github.com/flwrlabs/flower/releases"),
                Link("requirements.in"),
            ),
        ),
        Stated(
            "0.87.0 of September 2024 is the newest on PyPI; it pins TensorFlow 2.14",
            (
                Link("releases", "https://github.com/google-parfait/tensorflow-federated/releases"),
                _FEDERATED,
                Link("requirements.in"),
            ),
        ),
    ),
    (
        "installation",
        Stated(
            "pip install flwr[simulation]; pure Python, 3.9 and later; the simulation brings Ray",
            (_FLWR, Link("installation", f"{_DOCS}/how-to-install-flower.html")),
        ),
        Stated(
            "Linux x86-64 with Python 3.9 to 3.11; no Windows; a plain pip install fails by now, "
            "since a pinned jaxlib was deleted: a lock that overrides pins is needed",
            (
                _FEDERATED,
                Link(
                    "issue 4054",
                    "https://github.com/google-parfait/tensorflow-federated/issues/4054",
                ),
                Link("overrides.txt"),
            ),
        ),
    ),
    (
        "privacy",
        Stated(
            "Secure aggregation (SecAgg, SecAgg+); differential privacy, central and local, which "
            "it calls a preview",
            (
                Link(
                    "secure aggregation",
                    f"{_DOCS}/explanation-ref-secure-aggregation-protocols.html",
                ),
                Link("differential privacy", f"{_DOCS}/how-to-use-differential-privacy.html"),
            ),
        ),
        Stated(
            "Aggregators for secure sums, for differential privacy, and for both at once",
            (
                Link(
                    "secure",
                    f"{_TENSORFLOW}/api_docs/python/tff/learning/secure_aggregator",
                ),
                Link(
                    "private",
                    f"{_TENSORFLOW}/api_docs/python/tff/aggregators/DifferentiallyPrivateFactory",
                ),
                Link(
                    "both",
                    f"{_TENSORFLOW}/api_docs/python/tff/learning/ddp_secure_aggregator",
                ),
            ),
        ),
    ),
    (
        "deployment",
        Stated(
            "A server (SuperLink) and nodes (SuperNode) on real machines, with TLS, "
            "authentication, Docker and Helm",
            (Link("deployment", f"{_DOCS}/deploy.html"),),
        ),
        Stated("It brings no tools for devices: simulation and research only", (_FAQ,)),
    ),
    (
        "what we met",
        Stated(
            "Its simulation waits for ever if Ray cannot start; its strategies choose clients and "
            "drop failures by themselves. Both are worked round here",
            (_QUIRKS,),
        ),
        Stated(
            "It keeps an executor for each number of participants, and repeats a failed call for "
            "ever. Both are worked round here",
            (_QUIRKS,),
        ),
    ),
)  # fmt: skip


def flower_or_tff() -> Table:
    """Capabilities, maintenance, installation, privacy, deployment."""
    return Table("Flower or TFF?", ["", FLOWER, TFF], _ROWS)
