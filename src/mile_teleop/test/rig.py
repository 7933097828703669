"""An arbiter on a bench: a clock that is wound by hand, a pad that is pressed by name, and a keeper of all effects."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from mile_learner.clock import FakeClock
from mile_learner.step import Mode, Source, Step
from mile_teleop.arbiter import Arbiter
from mile_teleop.arbiter_config import ArbiterConfig
from mile_teleop.effects import Effect, PublishCommand, PublishEvent, PublishStatus, PublishStep, PublishTick, RestartClock
from mile_teleop.inputs import Confirmation, PolicyAnswer
from mile_teleop.pad import Button, PadConfig, PadMapping

E = TypeVar('E')
CONFIG_FOLDER = Path(__file__).parents[3] / 'config'
MAPPING = PadMapping(PadConfig.from_yaml(CONFIG_FOLDER / 'pad_ps3.yaml'))
CLOSED_M, OPEN_M = 0.02, 0.05
RATE_HZ = 10.0
NAN = float('nan')


class Rig:
    """The arbiter with everything around it; every method returns the effects it caused."""

    def __init__(self, **config: Any) -> None:
        self.clock = FakeClock()
        self.config = ArbiterConfig.from_mapping(config)
        self.arbiter = Arbiter(self.config, MAPPING, self.clock, rate_hz=RATE_HZ, gripper_closed_m=CLOSED_M, gripper_open_m=OPEN_M)
        self.effects: list[Effect] = []
        self.recorder()

    def keep(self, effects: list[Effect]) -> list[Effect]:
        self.effects += effects
        return effects

    def pad(self, *held: Button, motion: tuple[float, float, float] = (0.0, 0.0, 0.0), age: float = 0.0) -> list[Effect]:
        self.clock.now += 0.001
        axes, buttons = MAPPING.press((*motion, 0.0), held=held)
        return self.keep(self.arbiter.on_joy(self.clock.wall() - age, axes, buttons))

    def raw_pad(self, axes: Iterable[float], buttons: Iterable[int], age: float = 0.0) -> list[Effect]:
        self.clock.now += 0.001
        return self.keep(self.arbiter.on_joy(self.clock.wall() - age, list(axes), list(buttons)))

    def arm(self, *, ready: bool = True, fault: str = '', opening_m: float = CLOSED_M) -> list[Effect]:
        return self.keep(self.arbiter.on_arm_state(ready=ready, fault=fault, commanded_opening_m=opening_m))

    def recorder(self) -> list[Effect]:
        return self.keep(self.arbiter.on_recorder())

    def start(self, episode_id: str = 'e0') -> list[Effect]:
        return self.keep(self.arbiter.start_episode(episode_id))

    def stop(self, outcome: str = 'success') -> int:
        steps, effects = self.arbiter.stop_episode(outcome)
        self.keep(effects)
        return steps

    def tick(self, seconds: float = 0.1) -> list[Effect]:
        self.clock.now += seconds
        return self.keep(self.arbiter.tick())

    def answer(
        self,
        action: tuple[float, ...] = (0.1, 0.2, 0.3, 1.0),
        *,
        back: int = 0,
        valid: bool = True,
        detail: str = '',
    ) -> list[Effect]:
        """Answer the last tick, or the one `back` ticks before it."""
        tick = next(tick for tick in reversed(self.all(PublishTick)) if tick.episode_id)
        return self._answer(tick.episode_id, tick.index - back, tick.stamp, [1.0, 2.0], action, valid, detail)

    def say_that_the_policy_is_there(self, *observation: float, detail: str = '') -> list[Effect]:
        """Answer a tick of no episode, as a policy that sees this."""
        return self._answer('', 0, self.clock.wall(), list(observation), (NAN,) * 4, False, detail)

    def _answer(
        self, episode_id: str, index: int, stamp: float, observation: list[float], action: tuple[float, ...], valid: bool, detail: str
    ) -> list[Effect]:
        answer = PolicyAnswer(
            episode_id=episode_id,
            index=index,
            observation=observation,
            observation_stamp=stamp - 0.01,
            image_stamp=0.0,
            action=action,
            valid=valid,
            detail=detail,
            intervention_probability=0.25,
            policy_version='v000',
            inference_ms=1.5,
        )
        return self.keep(self.arbiter.on_policy_answer(answer))

    def confirm(self, *, opening_m: float = CLOSED_M, accepted: bool = True, detail: str = '') -> list[Effect]:
        """Confirm the last command."""
        command = self.all(PublishCommand)[-1]
        target = (0.3, 0.0, 0.1, opening_m)
        return self.keep(
            self.arbiter.on_confirmation(
                Confirmation(command.episode_id, command.index, command.source, accepted=accepted, sent_target=target, detail=detail)
            )
        )

    def live(self, episode_id: str = 'e0') -> None:
        """A running episode in autonomous mode: arm and pad alive, the first tick answered and confirmed."""
        self.arm()
        self.recorder()
        self.pad()
        self.start(episode_id)
        self.answer()
        self.confirm()

    def cycle(self, *held: Button, motion: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> None:
        """One period in which everybody does what they should."""
        self.arm()
        self.recorder()
        for happen in (lambda: self.pad(*held, motion=motion), self.tick):
            if of(PublishTick, happen()):
                self.answer()
                self.confirm()

    def all(self, kind: type[E]) -> list[E]:
        return of(kind, self.effects)

    def mode(self) -> Mode:
        return self.arbiter.mode

    @property
    def status(self) -> PublishStatus:
        return self.all(PublishStatus)[-1]

    @property
    def steps(self) -> list[Step]:
        return [effect.step for effect in self.all(PublishStep)]

    @property
    def events(self) -> list[str]:
        return [event.type for event in self.all(PublishEvent)]


def of(kind: type[E], effects: Iterable[Effect]) -> list[E]:
    return [effect for effect in effects if isinstance(effect, kind)]


def sources(effects: Iterable[Effect]) -> list[Source]:
    return [command.source for command in of(PublishCommand, effects)]


def restarts_clock(effects: Iterable[Effect]) -> bool:
    return bool(of(RestartClock, effects))
