"""Rate limit of what somebody else sends: commands, requests, tries of a password."""


class TokenBucket:
    """Rate limit: `burst` at once, `per_second` in the long run. Times are arguments, in seconds."""

    def __init__(self, burst: int, per_second: float) -> None:
        self._burst = float(burst)
        self._per_second = per_second
        self._tokens = self._burst
        self._filled_at_seconds: float | None = None
        self._reported = False

    def try_acquire(self, now_seconds: float) -> bool:
        """Take a token; False if there is none."""
        self._fill(now_seconds)
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        self._reported = self._reported and self._tokens < self._burst / 2
        return True

    def wait_seconds(self, now_seconds: float) -> float:
        """Return the time in seconds until there is a token, 0 if there is one; takes none."""
        self._fill(now_seconds)
        return max(0.0, 1.0 - self._tokens) / self._per_second

    def should_report(self) -> bool:
        """Return whether to report that the limit is exceeded: once, until the bucket is half full again."""
        reported, self._reported = self._reported, True
        return not reported

    def _fill(self, now_seconds: float) -> None:
        if self._filled_at_seconds is not None:
            waited_seconds = max(0.0, now_seconds - self._filled_at_seconds)
            self._tokens = min(self._burst, self._tokens + waited_seconds * self._per_second)
        self._filled_at_seconds = now_seconds
