import pytest

from runner.scoring.confidence import interval


@pytest.mark.parametrize("n", [1, 2, 7, 60, 61, 1000, 999_999])
def test_interval_of_all_right_reaches_one_and_none_right_zero(n: int) -> None:
    right, wrong = interval(1.0, n), interval(0.0, n)
    assert right is not None
    assert wrong is not None
    assert right.high == 1.0
    assert wrong.low == 0.0
    assert right.low == pytest.approx(1 - wrong.high)
