"""Between seconds and builtin_interfaces/Time."""

from builtin_interfaces.msg import Time


def to_stamp(seconds: float) -> Time:
    """Time message of `seconds` since the epoch (>= 0)."""
    nanoseconds = round(seconds * 1e9)
    return Time(sec=nanoseconds // 1_000_000_000, nanosec=nanoseconds % 1_000_000_000)


def to_seconds(stamp: Time) -> float:
    """Seconds since the epoch of a time message."""
    return float(stamp.sec) + float(stamp.nanosec) * 1e-9
