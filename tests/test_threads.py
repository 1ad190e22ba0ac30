"""Blocks of rows in threads: nothing lost, in order, and BLAS left as it was."""

import threading

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from skgen._threads import BLOCK_ROWS, map_in_threads, one_blas_thread, row_blocks


def blas_threads():
    return {entry["num_threads"] for entry in threadpool_info() if entry["user_api"] == "blas"}


@pytest.mark.parametrize("start", [0, 3])
@pytest.mark.parametrize("n_rows", [0, 1, BLOCK_ROWS - 1, BLOCK_ROWS, BLOCK_ROWS + 1, 5000])
def test_blocks_hold_every_row_once_and_none_is_too_long(n_rows, start):
    blocks = list(row_blocks(start, start + n_rows))
    rows = np.concatenate([np.arange(10_000)[block] for block in blocks] or [np.arange(0)])
    assert np.array_equal(rows, np.arange(start, start + n_rows))
    assert all(0 < block.stop - block.start <= BLOCK_ROWS for block in blocks)


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("n_tasks", [0, 1, 2, 37])
def test_results_are_those_of_a_loop_in_order(n_tasks, n_threads):
    tasks = list(range(n_tasks))
    with threadpool_limits(n_threads, user_api="blas"):
        assert map_in_threads(lambda task: task**2, tasks) == [task**2 for task in tasks]


def test_as_many_tasks_run_at_once_as_blas_has_threads():
    meeting = threading.Barrier(2, timeout=20)
    with threadpool_limits(2, user_api="blas"):
        assert sorted(map_in_threads(lambda _: meeting.wait(), [0, 1])) == [0, 1]


def test_with_one_blas_thread_all_tasks_run_in_the_callers_thread():
    with threadpool_limits(1, user_api="blas"):
        threads = map_in_threads(lambda _: threading.get_ident(), range(5))
    assert set(threads) == {threading.get_ident()}


def test_blas_has_one_thread_inside_and_its_own_number_after():
    with threadpool_limits(2, user_api="blas"):
        with one_blas_thread() as n_threads:
            assert n_threads == 2
            assert blas_threads() == {1}
            with one_blas_thread() as n_threads:
                assert n_threads == 1
            assert blas_threads() == {1}
        assert blas_threads() == {2}
        assert set().union(*map_in_threads(lambda _: blas_threads(), [0, 1])) == {1}
        assert blas_threads() == {2}


@pytest.mark.parametrize("n_threads", [1, 2])
def test_an_error_in_a_task_reaches_the_caller_and_blas_gets_its_threads_back(n_threads):
    with threadpool_limits(n_threads, user_api="blas"):
        with pytest.raises(ZeroDivisionError):
            map_in_threads(lambda task: 1 / task, [2, 1, 0])
        assert blas_threads() == {n_threads}


def test_callers_in_several_threads_leave_the_number_as_it_was():
    inside, leave = threading.Event(), threading.Event()

    def other():
        with one_blas_thread():
            inside.set()
            leave.wait(20)

    with threadpool_limits(2, user_api="blas"):
        thread = threading.Thread(target=other)
        with one_blas_thread():
            thread.start()
            assert inside.wait(20)
            assert blas_threads() == {1}
        leave.set()
        thread.join()
        assert blas_threads() == {2}
