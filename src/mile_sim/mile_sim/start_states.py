"""Which start states are for what: disjoint ranges of state seeds, so that nothing is tested on what it was made from.

| purpose | state seeds |
|---|---|
| demonstration | 0 to 10 million: the initial policy is cloned from them |
| selection | 10 to 20 million: the initial policy's success is measured on them, and the operator gets to know it |
| pilot | 20 to 30 million: c and sigma of the operator are calibrated on them |
| evaluation | from 1000 million (`mile eval`) |

A deployment draws its start states by hashing its own seed, the iteration and the episode over all 2^32.
"""

from __future__ import annotations

from enum import IntEnum

from mile_sim.errors import SimError

_RANGE = 10_000_000
_PER_SEED = 1_000


class Purpose(IntEnum):
    """What a start state is for; the value times ten million is the first seed of its range."""

    DEMONSTRATION = 0
    SELECTION = 1
    PILOT = 2


def state_seeds(purpose: Purpose, seed: int, count: int) -> range:
    """`count` (at most 1000) state seeds for `purpose`; different ones for the next 10 000 values of `seed`."""
    if not 0 < count <= _PER_SEED:
        msg = f'start states: got {count}, expected 1 to {_PER_SEED}'
        raise SimError(msg)
    first = purpose * _RANGE + seed % (_RANGE // _PER_SEED) * _PER_SEED
    return range(first, first + count)
