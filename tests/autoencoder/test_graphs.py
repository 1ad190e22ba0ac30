"""Work that a thread does ahead; recorded steps need a GPU, and are tested beside it."""

import threading

import pytest

from skgen._autoencoder.graphs import N_AHEAD, compute_ahead


@pytest.mark.parametrize("n_tasks", [0, 1, N_AHEAD, 50])
def test_results_come_in_order_from_one_other_thread(n_tasks):
    threads = set()

    def square(number):
        threads.add(threading.get_ident())
        return number**2

    assert list(compute_ahead(square, range(n_tasks))) == [n**2 for n in range(n_tasks)]
    assert len(threads) == min(n_tasks, 1)
    assert threading.get_ident() not in threads


def test_no_more_than_a_few_tasks_are_done_ahead():
    begun = []
    results = compute_ahead(begun.append, range(100))
    for n_taken in range(1, 20):
        next(results)
        assert len(begun) <= n_taken + N_AHEAD
    results.close()
    assert len(begun) <= 19 + N_AHEAD


def test_an_error_of_a_task_is_raised_and_ends_the_work():
    def fail_at_three(number):
        if number == 3:
            raise ZeroDivisionError
        return number

    results = compute_ahead(fail_at_three, range(100))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ZeroDivisionError):
        next(results)
