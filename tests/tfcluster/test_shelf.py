import pytest

from tfcluster.training.trainer_pool import Shelf


def test_the_same_is_lent_again_but_never_twice_at_a_time():
    shelf = Shelf(lambda number: [number])
    with shelf.borrow(1) as first:
        with shelf.borrow(1) as second:
            assert second is not first
        with shelf.borrow(2) as other:
            assert other == [2]
    with shelf.borrow(1) as again:
        assert again is first or again is second


def test_an_error_gives_it_back():
    shelf = Shelf(lambda: [])
    with pytest.raises(ZeroDivisionError), shelf.borrow() as first:
        raise ZeroDivisionError
    with shelf.borrow() as again:
        assert again is first


def test_the_oldest_go_first():
    made = []
    shelf = Shelf(lambda number: made.append(number) or number, size=2)
    for number in (1, 2, 3, 2, 1):
        with shelf.borrow(number):
            pass
    assert made == [1, 2, 3, 1]
