"""A service that is missing, refuses, or whose answer was lost: when it is asked again, and when that ends."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from mile_msgs.srv import ResetArm
from rclpy.task import Future

from mile_bringup.service_call import ServiceCall


class Bench:
    """A call on a clock that stands still until it is set, the service that it asks, and all that it calls."""

    def __init__(self, again_s: float = float('inf')) -> None:
        self.now = 100.0
        self.offered, self.patient = True, False
        self.answers: list[Future] = []
        self.expected: list[tuple[float, str]] = []
        self.refusals: list[tuple[str, bool]] = []
        self.accepted: list[str] = []
        client = SimpleNamespace(srv_name='/reset_arm', service_is_ready=lambda: self.offered, call_async=self._asked)
        self.call = ServiceCall(
            client,
            ResetArm.Request(seed=3),
            offered_by='arm_node',
            startup_timeout_s=20.0,
            reply_timeout_s=10.0,
            again_s=again_s,
            expect=lambda deadline, why: self.expected.append((deadline, why)),
            patient=lambda: self.patient,
            on_refusal=lambda message, again: self.refusals.append((message, again)),
            on_accepted=lambda answer: self.accepted.append(answer.message),
            clock=lambda: self.now,
        )

    def _asked(self, request: ResetArm.Request) -> Future:
        assert request.seed == 3
        self.answers.append(Future())
        return self.answers[-1]

    def poll(self, *times: float) -> None:
        for self.now in times:
            self.call.poll()

    def answer(self, number: int, *, accepted: bool, message: str = '') -> None:
        self.answers[number].set_result(ResetArm.Response(accepted=accepted, message=message))


def test_a_service_that_nobody_offers_is_waited_for_no_longer_than_the_graph_takes_to_start() -> None:
    bench = Bench()
    bench.offered = False
    bench.poll(100.0, 119.0)
    assert bench.expected == [(120.0, '/reset_arm: nobody offers this service; see the log of arm_node')] * 2
    bench.offered = True
    bench.poll(119.5)
    assert bench.expected[-1] == (129.5, '/reset_arm: no answer; see the log of arm_node')
    assert len(bench.answers) == 1


def test_it_asks_once_and_goes_on_once() -> None:
    bench = Bench()
    bench.poll(100.0, 101.0, 109.0)
    assert len(bench.answers) == 1
    bench.answer(0, accepted=True, message='there')
    assert bench.accepted == ['there']


def test_a_lost_answer_is_asked_for_again_within_the_same_time_and_a_late_one_is_ignored() -> None:
    bench = Bench(again_s=5.0)
    bench.poll(100.0, 104.9, 105.0)
    assert [deadline for deadline, _ in bench.expected] == [110.0, 110.0]
    bench.answer(1, accepted=True, message='second')
    bench.answer(0, accepted=True, message='first')
    assert bench.accepted == ['second']


def test_a_refusal_is_told_and_asked_again_until_its_time_is_up() -> None:
    bench = Bench()
    bench.poll(100.0)
    bench.now = 101.0
    bench.answer(0, accepted=False, message='the arm is held')
    bench.poll(101.4, 101.5)
    bench.answer(1, accepted=False, message='the arm is held')
    assert bench.refusals == [('the arm is held', False), ('the arm is held', True)]
    assert len(bench.answers) == 2, 'half a second after a refusal'
    assert bench.expected[-1] == (131.0, '/reset_arm refuses: the arm is held'), 'since the first'
    bench.poll(140.0)
    assert bench.expected[-1] == (150.0, '/reset_arm: no answer; see the log of arm_node')


@pytest.mark.parametrize(('patient', 'deadline'), [(True, 221.0), (False, 131.0)])
def test_refusals_do_not_count_while_a_person_may_take_as_long_as_it_takes(patient: bool, deadline: float) -> None:
    bench = Bench()
    bench.patient = patient
    bench.poll(100.0)
    for number, bench.now in enumerate((101.0, 191.0)):
        bench.answer(number, accepted=False, message='the e-stop is set')
        bench.call.poll()
        bench.poll(bench.now + 0.5)
    assert bench.expected[-2] == (deadline, '/reset_arm refuses: the e-stop is set')
