"""Options of the driver `xs`, for Interbotix arms behind xs_sdk; the other drivers ignore them."""

from __future__ import annotations

from dataclasses import dataclass

from mile_learner.config import Config, ConfigError, option


@dataclass(frozen=True)
class XsConfig(Config):
    """Servo profile, start pose, gripper servo and watching of the motors."""

    robot_name: str = option('', doc="namespace of xs_sdk; empty: the arm's model")
    startup_timeout_s: float = option(30.0, doc='xs_sdk must be there within this time [s]', gt=0.0, le=600.0)
    profile_periods: float = option(1.5, doc='Profile_Velocity, the time of one motion of the servos [control periods]', ge=1.0, le=3.0)
    profile_acceleration_periods: float = option(0.5, doc='Profile_Acceleration, its ramps [control periods]', gt=0.0, le=1.5)
    following_error_rad: float = option(0.6, doc='a joint further from its target than this is not driven on [rad]', gt=0.0, le=2.0)
    poll_period_s: float = option(0.25, doc='between two questions to the motors (faults, torque) [s]', ge=0.05, le=10.0)
    poll_timeout_s: float = option(2.0, doc='motors that do not answer for so long are a fault [s]', gt=0.0, le=60.0)
    shadow_motors: str = option('shoulder_shadow elbow_shadow', doc='motors that follow another, asked one by one; separated by blanks')
    start_position_m: tuple[float, float, float] = option((0.27, 0.0, 0.205), doc='where an episode starts, pointing down [m]')
    start_speed_rad_s: float = option(0.5, doc='of the fastest joint on the way there [rad/s]', gt=0.0, le=1.5)
    start_tolerance_joint_rad: float = option(0.08, doc='the start pose is reached when every joint is so near [rad]', gt=0.0, le=0.3)
    start_load_s: float = option(0.0, doc='there the gripper opens so long to be loaded, then closes; 0: it closes on the way [s]', ge=0.0)
    gripper_gain_per_m: float = option(20000.0, doc='PWM per error of the opening [1/m]', gt=0.0)
    gripper_pwm_min: float = option(150.0, doc='the least PWM that moves the fingers', ge=0.0, le=350.0)
    gripper_pwm_max: float = option(350.0, doc='the most PWM that is ever sent', gt=0.0, le=885.0)
    gripper_pwm_hold: float = option(150.0, doc='PWM that squeezes what blocks the fingers, for as long as it takes', ge=0.0, le=350.0)
    gripper_tolerance_m: float = option(0.0015, doc='the opening is reached when it is so near [m]', gt=0.0, le=0.01)
    gripper_stall_s: float = option(0.4, doc='fingers that do not move for so long are blocked [s]', gt=0.0, le=5.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.profile_acceleration_periods > self.profile_periods / 2:
            got = f'profile_acceleration_periods: got {self.profile_acceleration_periods}'
            msg = f'{got}, expected at most half of profile_periods, {self.profile_periods / 2}: the servos allow no longer ramps'
            raise ConfigError(msg)
        if not self.gripper_pwm_min <= self.gripper_pwm_max or self.gripper_pwm_hold > self.gripper_pwm_max:
            got = f'gripper_pwm_min {self.gripper_pwm_min:g} and gripper_pwm_hold {self.gripper_pwm_hold:g}'
            msg = f'gripper: got {got}, expected both at most gripper_pwm_max, {self.gripper_pwm_max:g}'
            raise ConfigError(msg)
