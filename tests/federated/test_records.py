"""Records of rounds as files hold them."""

import dataclasses
import json

from hypothesis import given
from hypothesis import strategies as st

from federated.core.records import RoundRecord

names = st.text(min_size=1, max_size=8)
numbers = st.floats(allow_nan=False) | st.integers()
records = st.builds(
    RoundRecord,
    phase=names,
    kind=names,
    step=st.integers(1, 9),
    of=st.integers(1, 9),
    participants=st.integers(1, 9),
    left_out=st.lists(names, max_size=3).map(tuple),
    losses=st.dictionaries(names, st.floats(allow_nan=False), max_size=3),
    metrics=st.dictionaries(names, numbers | st.lists(numbers, max_size=3), max_size=3),
    scores=st.dictionaries(names, numbers | st.lists(st.integers(), max_size=3), max_size=3),
    converged=st.booleans(),
    bytes_down=st.integers(0),
    bytes_up=st.integers(0),
    round_seconds=st.floats(0),
    seconds=st.floats(0),
    backend=names,
)


@given(records)
def test_a_record_survives_a_file(record):
    assert RoundRecord.from_dict(json.loads(json.dumps(record.to_dict()))) == record


def test_records_of_fewer_fields_have_the_defaults():
    record = RoundRecord("pretrain", "training", 1, 2, 3)
    assert RoundRecord.from_dict({**record.to_dict(), "left_out": []}) == record
    assert (record.losses, record.metrics, record.scores, record.left_out) == ({}, {}, {}, ())


def test_the_last_round_of_a_phase():
    record = RoundRecord("cluster", "training", 1, 2, 3)
    assert not record.is_last
    assert dataclasses.replace(record, step=2).is_last
    assert dataclasses.replace(record, converged=True).is_last


def test_one_level_for_plots():
    record = RoundRecord(
        *("cluster", "target update", 1, 2, 3),
        losses={"loss": 0.5},
        metrics={"changed": 0.25},
        scores={"accuracy": 1.0},
    )
    flat = record.flat()
    assert {"losses", "metrics", "scores"}.isdisjoint(flat)
    assert (flat["loss"], flat["changed"], flat["accuracy"]) == (0.5, 0.25, 1.0)
    assert (flat["phase"], flat["step"], flat["of"]) == ("cluster", 1, 2)
