"""The configuration of hand-overs: what is safe with every driver of a pad."""

from __future__ import annotations

from mile_learner.step import Mode, Source
from mile_teleop.arbiter_config import ArbiterConfig
from mile_teleop.pad import Button

from .rig import CONFIG_FOLDER, Rig


def test_the_file_says_what_the_defaults_are_and_they_are_safe() -> None:
    assert ArbiterConfig.from_yaml(CONFIG_FOLDER / 'teleop.yaml') == ArbiterConfig()
    assert ArbiterConfig().warning == ''
    assert 'make the first longer' in ArbiterConfig(hand_back_grace_s=0.3).warning


def test_a_pad_that_vanishes_behind_made_up_releases_lets_no_policy_drive() -> None:
    """As the ROS package joy reports it: everything is let go, then there is silence."""
    rig = Rig()
    rig.live()
    rig.cycle(Button.TAKEOVER)
    rig.pad()
    known = len(rig.steps)
    for _ in range(40):
        rig.tick()
        rig.arm()
        rig.answer()
        rig.confirm()
        assert rig.mode() is Mode.HOLD
    assert {step.source for step in rig.steps[known + 1 :]} == {Source.HOLD}
