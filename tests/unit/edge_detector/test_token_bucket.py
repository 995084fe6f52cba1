from hypothesis import given
from hypothesis import strategies as st

from edge_detector.token_bucket import TokenBucket


@given(st.lists(st.floats(0, 5), max_size=200), st.integers(1, 20), st.floats(0.1, 3))
def test_a_token_bucket_never_exceeds_burst_and_rate(waits: list[float], burst: int, per_second: float) -> None:
    bucket, now, passed = TokenBucket(burst, per_second), 0.0, 0
    for wait in waits:
        now += wait
        passed += bucket.try_acquire(now)
    assert passed <= burst + now * per_second + 1e-6


def test_a_clock_that_goes_back_adds_no_tokens() -> None:
    bucket = TokenBucket(1, 1.0)
    assert bucket.try_acquire(100.0)
    assert not bucket.try_acquire(0.0)
    assert not bucket.try_acquire(0.5)
    assert bucket.try_acquire(1.5)


def test_the_wait_for_a_token_takes_none() -> None:
    bucket = TokenBucket(1, 0.5)
    assert [bucket.wait_seconds(10.0), bucket.wait_seconds(10.0)] == [0.0, 0.0]
    assert bucket.try_acquire(10.0)
    assert bucket.wait_seconds(10.0) == 2.0
    assert bucket.wait_seconds(11.0) == 1.0
    assert not bucket.try_acquire(11.5)
    assert bucket.try_acquire(12.0)
