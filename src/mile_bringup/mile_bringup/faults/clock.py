"""The host's clock is set while an episode runs: by the arbiter's injected clock, for a process may not set the host's."""

from __future__ import annotations

from itertools import pairwise

from mile_bringup.deployment import Deployment, config_dir, config_file
from mile_bringup.faults.outcome import UNHARMED, Outcome
from mile_learner.clock import FakeClock
from mile_learner.step import Mode
from mile_teleop.arbiter import Arbiter
from mile_teleop.arbiter_config import ArbiterConfig
from mile_teleop.effects import Effect, PublishStep, PublishTick
from mile_teleop.inputs import PolicyAnswer
from mile_teleop.pad import PadConfig, PadMapping

CLOCK_STEP = 'clock set while the policy drives'
STEPS_S = (3600.0, -3600.0, 0.3, -0.3)
TICKS = 40


def step_the_clock() -> Outcome:
    """Set the clock to and fro under a policy that drives: no hold, and the stamps of the steps stay even."""
    task, clock = Deployment().resolved_task(), FakeClock()
    pad = PadMapping(PadConfig.from_yaml(config_file('pad', 'ps3')))
    config = ArbiterConfig.from_yaml(config_dir() / 'teleop.yaml')
    opening = {'gripper_closed_m': task.gripper_closed_m, 'gripper_open_m': task.gripper_open_m}
    arbiter = Arbiter(config, pad, clock, rate_hz=task.rate_hz, **opening)
    period, stamps, modes = 1.0 / task.rate_hz, [], []

    def live_through(effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, PublishTick):
                live_through(arbiter.on_policy_answer(_answer(effect)))
            elif isinstance(effect, PublishStep):
                stamps.append(effect.step.stamp)

    for tick in range(TICKS * (len(STEPS_S) + 1)):
        if tick and tick % TICKS == 0:
            clock.offset += STEPS_S[tick // TICKS - 1]
        arbiter.on_arm_state(ready=True, fault='', commanded_opening_m=0.02)
        arbiter.on_recorder()
        live_through(arbiter.on_joy(clock.wall(), *pad.press((0.0,) * 4)))
        live_through(arbiter.start_episode('clock') if tick == 0 else arbiter.tick())
        modes.append(arbiter.mode)
        clock.now += period
    outcome = Outcome(CLOCK_STEP, UNHARMED, resumed=modes[-1] is Mode.AUTONOMOUS)
    held = sum(mode is not Mode.AUTONOMOUS for mode in modes[1:])
    uneven = sum(abs(after - before - period) > 1e-6 for before, after in pairwise(stamps))
    if held or uneven or not stamps:
        outcome.violations.append(f'it did harm: {held} of {len(modes)} ticks did not let the policy drive, {uneven} stamps are uneven')
    return outcome


def _answer(tick: PublishTick) -> PolicyAnswer:
    return PolicyAnswer(
        episode_id=tick.episode_id,
        index=tick.index,
        observation=[0.0],
        observation_stamp=tick.stamp,
        image_stamp=0.0,
        action=[0.1] * 4,
        valid=True,
        detail='',
        intervention_probability=0.1,
        policy_version='v000',
        inference_ms=1.0,
    )
