"""Groups, costs and comparisons of result lines, and the sentences about them."""

import math

import pytest

from benchmarks.compare import result_lines, run_costs
from benchmarks.compare.cases import LOCAL_TFF
from benchmarks.compare.comparisons import compare_procedures
from benchmarks.compare.report_tables import make_tables, tabulate_versions
from benchmarks.compare.suites import DEFAULTS
from benchmarks.compare.verdict import explain_costs, write_verdict
from tests.benchmarks import made_lines as made


@pytest.mark.parametrize(
    ("backend", "total", "warm", "part", "share"),
    [
        # local 7.6 s; Flower 13.1 s, of which start 5.0 and warm rounds 0.5 are added
        ("flower", 13.1 / 7.6, 1.25, "backend_start", 5 / 5.5),
        # TFF 10.6 s: start 1.0 and warm rounds 2.0
        ("tff", 10.6 / 7.6, 2.0, "warm_rounds", 2 / 3),
    ],
)
def test_overhead(backend, total, warm, part, share):
    found = run_costs.compute_overhead(made.digits(), backend)
    assert found.n_pairs == 6
    assert math.exp(found.total.value) == pytest.approx(total)
    assert math.exp(found.warm.value) == pytest.approx(warm)
    assert found.largest == (part, pytest.approx(share))


def test_tff_is_compared_on_its_own_tensorflow():
    lines = made.digits()
    for line in result_lines.select_backend(lines, LOCAL_TFF):
        line["seconds"]["total"] = 5.3
    assert math.exp(run_costs.compute_overhead(lines, "tff").total.value) == pytest.approx(2)
    # what TensorFlow's versions cost
    own = run_costs.compute_overhead(lines, LOCAL_TFF)
    assert math.exp(own.total.value) == pytest.approx(5.3 / 7.6)
    # runs of before, in one environment
    before = [line for line in lines if line["case"]["backend"] != LOCAL_TFF]
    overhead = run_costs.compute_overhead(before, "tff")
    assert math.exp(overhead.total.value) == pytest.approx(10.6 / 7.6)


def test_versions_name_the_backends_that_differ():
    table = tabulate_versions({"digits": made.digits(1)})
    rows = {(name, value): backends for name, value, _, backends in table.rows}
    assert rows["tensorflow", "2.14.1"] == "local loop (TFF's TensorFlow), TFF"
    assert rows["python", "3.11.7"] == ""


def test_a_faster_backend_has_a_largest_part_too():
    lines = made.digits(1)
    for line in result_lines.select_backend(
        lines, "tff"
    ):  # 1 s more in backend start, 2 s in warm rounds
        line["seconds"] |= {"import": 0.0, "first_rounds": 0.5}  # 3 s and 1 s less
        line["seconds"]["total"] -= 4
    found = run_costs.compute_overhead(lines, "tff")
    assert found.largest == ("import", pytest.approx(3 / 7))
    text = " ".join(explain_costs("digits", lines))
    assert "import 43 % (faster), warm rounds 29 %" in text


def test_rounds_that_compile_are_not_warm():
    rounds = {"pretrain": [9.0, 1.0, 3.0], "centroids": [9.0, 8.0, 2.0], "cluster": [50.0]}
    one = {"rounds": rounds}
    assert run_costs.select_warm_rounds(one) == {"pretrain": [1.0, 3.0], "centroids": [2.0]}
    assert run_costs.compute_warm_round(one) == 2
    assert run_costs.compute_warm_round({"rounds": {"cluster": [50.0]}}) is None
    other = {"rounds": {"pretrain": [9.0, 4.0, 4.0], "centroids": [9.0, 8.0, 4.0]}}
    # (2 rounds of 4 s and one of 4 s) over (2 of 2 s and one of 2 s)
    assert run_costs.compute_warm_ratio(other, one) == 2


def test_parts_of_a_round():
    for backend, factor in made.FACTOR.items():
        found = run_costs.fit_round_cost(made.scaling(), backend)
        assert found.fixed == pytest.approx(0.02 * factor, rel=1e-3)
        assert found.per_client == pytest.approx(0.01 * factor, rel=1e-3)
        assert found.per_step == pytest.approx(0.0002 * factor, rel=1e-3)  # of ten clients


def test_parameters_of_an_autoencoder():
    # 7-12-5-12-7: products 84 + 60 + 60 + 84, biases 12 + 5 + 12 + 7
    assert run_costs.count_parameters(7, [12, 5]) == 288 + 36


def test_only_procedures_that_differ_are_found():
    found = compare_procedures(made.aggregation())
    assert len(found) == 2 * 15
    same = [c for c in found if c.is_same]
    assert [c.procedure for c in same] == ["fedavg", "fedavg"]
    assert all(math.isnan(c.p) and math.isnan(c.adjusted) for c in same)
    others = [c for c in found if not c.is_same]
    # the smallest is multiplied by the number of real comparisons
    assert min(c.adjusted for c in others) == pytest.approx(28 * min(c.p for c in others))
    significant = {c.procedure for c in found if c.is_significant}
    assert significant == set(made.GAIN)
    for c in found:
        if c.procedure in made.GAIN:
            assert c.difference.value == pytest.approx(made.GAIN[c.procedure], abs=0.003)
            assert c.reference == ("fedavg" if c.procedure == "fedadam" else DEFAULTS)


def test_tuning_runs_are_dropped():
    seeds = {line["case"]["seed"] for line in result_lines.drop_tuning(made.aggregation(2))}
    assert seeds == {0, 1}


def test_different_initial_weights_are_detected():
    lines = made.digits(1)
    assert all(len(start.hashes) == 1 for start in result_lines.find_starts(lines))
    lines[2]["start_hash"] = "another"
    (table,) = [t for t in make_tables("digits", lines) if "initial weights" in t.caption]
    assert "1 of 2 sets" in table.caption
    cells = [cell for row in table.rows for cell in row]
    assert "NO" in cells and any("another" in cell for cell in cells)


def test_differences_from_the_local_loop_are_paired_by_seed():
    scores = make_tables("heterogeneity", made.heterogeneity())[0]
    column = scores.header.index("NMI - local loop")
    case = "DEC, digits (1,797 samples), iid, 5 clients, fedavg"
    iid = {row[1]: row[column] for row in scores.rows if row[0] == case}
    # the same in every seed, so that nothing is left of the seeds' own spread
    assert iid == {
        "local loop": "-",
        "centralized": "+0.020 ± 0.000",
        "local only": "-0.100 ± 0.000",
    }


def test_the_place_of_the_generator_is_part_of_a_start():
    found = list(result_lines.find_starts(made.heterogeneity(1)))
    assert all(len(start.hashes) == 1 for start in found)
    assert "ClusterGAN, digits, generator server" in [start.description for start in found]


def test_memory_of_a_short_run_has_no_slope():
    line = made.digits(1)[1]
    assert run_costs.compute_memory_slope(line) == 1.5
    line["memory"]["readings"] = [[0.0, 500], [59.9, 900]]
    assert run_costs.compute_memory_slope(line) is None
    line["memory"]["readings"] = []
    assert run_costs.compute_memory_slope(line) is None


# -- sentences ----------------------------------------------------------------------------------


def test_equal_scores_are_called_the_same():
    scores, seconds, choice = write_verdict({"digits": made.digits()})
    assert "was the same in 6 pairs of runs (digits)" in scores
    assert "Flower ended with the local loop's weights, bit by bit, in all 6 runs" in scores
    assert "TFF's final weights differ" in scores
    assert "Flower took 1.72" in seconds and "1.25" in seconds
    assert "91 % of the difference comes from backend start" in seconds
    assert "TFF took 1.39" in seconds and "67 % of the difference comes from warm rounds" in seconds
    # 13.1 / 10.6 s and 2,000 / 1,000 MB in every pair
    assert choice.startswith("For simulations like these, choose TFF for its time and memory")
    assert "1.24" in choice and "2.00" in choice


def test_a_difference_within_its_interval_is_none():
    scores = write_verdict({"digits": made.digits(tff=0.02)})[0]
    assert "no difference was found" in scores


@pytest.mark.parametrize(("off", "better"), [(0.02, "TFF"), (-0.02, "Flower")])
def test_a_difference_beyond_its_interval_is_named(off, better):
    lines = made.digits()
    for line in result_lines.select_backend(lines, "tff"):
        line["scores"]["accuracy"] += off
    scores = write_verdict({"digits": lines})[0]
    assert f"{-off:+.4f} ± 0.0000; {better} was more accurate" in scores


def test_a_backend_that_failed_is_not_compared():
    lines = [
        made.failure(made.Case(**line["case"])) if line["case"]["backend"] == "tff" else line
        for line in made.digits()
    ]
    scores, seconds, choice = write_verdict({"digits": lines})
    assert "all 6 runs of TFF failed (RuntimeError: <it> & that)" in scores
    assert "TFF" not in seconds
    assert choice == "Only Flower can be chosen from these runs."


def test_a_backend_that_was_not_run_is_not_compared():
    lines = [line for line in made.digits() if line["case"]["backend"] in ("local", "tff")]
    assert "no case was run on Flower" in write_verdict({"digits": lines})[0]


@pytest.mark.parametrize(
    "lines",
    [
        {"smoke": made.digits(1)},
        {"heterogeneity": made.heterogeneity()},
        {"aggregation": made.aggregation(2)},
        {"scaling": made.scaling()},
        {"digits": [made.failure(made.Case("dec", backend="flower"))]},
    ],
    ids=lambda lines: next(iter(lines)),
)
def test_there_are_always_three_sentences(lines):
    found = write_verdict(lines)
    assert len(found) == 3
    assert all(text.endswith(".") and text[0].isupper() for text in found)


def test_smoke_counts_only_without_timed_suites():
    smoke = made.digits(2, tff=0.5)
    assert "(smoke)" in write_verdict({"smoke": smoke})[0]
    assert "(digits)" in write_verdict({"smoke": smoke, "digits": made.digits()})[0]
    assert "(smoke)" in write_verdict({"smoke": smoke, "heterogeneity": made.heterogeneity()})[0]


def test_the_best_procedure_is_named():
    choice = write_verdict({"aggregation": made.aggregation()})[2]
    assert "of 14 procedures, fedadam gained most over fedavg (+0.03" in choice
    assert choice.endswith("significantly worse after Holm's correction: centroids random.")


def test_procedures_worse_on_one_partition_are_named_with_it():
    lines = made.aggregation()
    for line in lines:
        case = line["case"]
        if case["procedure"] == "fedadam" and case["partition"] == "iid":
            line["scores"]["nmi"] -= 2 * made.GAIN["fedadam"]
        elif case["procedure"] == "fedadam":
            line["scores"]["nmi"] -= made.GAIN["fedadam"]
    choice = write_verdict({"aggregation": lines})[2]
    assert "of 14 procedures, none was better than its reference after Holm's" in choice
    assert "worse after Holm's correction: fedadam (on iid), centroids random." in choice


def test_federated_against_local_only():
    choice = write_verdict({"heterogeneity": made.heterogeneity()})[2]
    assert "in 11 of 11 cases" in choice


def test_scaling_explains_the_difference():
    text = " ".join(explain_costs("scaling", made.scaling()))
    assert "In a warm round of TFF, a local step took 2.00 times as long in its worker" in text
    assert "each client cost 1.25 times as much" in text
    # 20 ms of the local loop, times 1.25 and 2
    assert "on the number of clients took 5 ms more than on the local loop" in text
    assert "on the number of clients took 20 ms more than on the local loop" in text
