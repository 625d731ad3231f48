import pytest

from tfcluster.training.trainer_pool import TrainerPool


def test_the_same_is_lent_again_but_never_twice_at_a_time():
    pool = TrainerPool(lambda number: [number])
    with pool.borrow(1) as first:
        with pool.borrow(1) as second:
            assert second is not first
        with pool.borrow(2) as other:
            assert other == [2]
    with pool.borrow(1) as again:
        assert again is first or again is second


def test_an_error_gives_it_back():
    pool = TrainerPool(lambda: [])
    with pytest.raises(ZeroDivisionError), pool.borrow() as first:
        raise ZeroDivisionError
    with pool.borrow() as again:
        assert again is first


def test_the_oldest_go_first():
    made = []
    pool = TrainerPool(lambda number: made.append(number) or number, size=2)
    for number in (1, 2, 3, 2, 1):
        with pool.borrow(number):
            pass
    assert made == [1, 2, 3, 1]
