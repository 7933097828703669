"""What the DYNAMIXEL servos say of themselves, in words."""

from __future__ import annotations

from collections.abc import Sequence

HARDWARE_ERROR_STATUS = 'Hardware_Error_Status'
TORQUE_ENABLE = 'Torque_Enable'
PROFILE_VELOCITY = 'Profile_Velocity'
ERROR_BITS = {
    0: 'input voltage out of range',
    2: 'overheated',
    3: 'encoder does not work',
    4: 'electrical shock or not enough power',
    5: 'overload',
}
"""Bits of Hardware_Error_Status (control table address 70 of the X series, ROBOTIS e-Manual). A servo with one set has cut its torque."""
SILENT = 'does not answer: tripped (overload, heat, voltage), or its cable or the power is off; support the arm, look at its LED'
PROFILE_LOST = 'xs_sdk was restarted, or a motor rebooted; restart the deployment'


def describe(register: str, motors: Sequence[str], values: Sequence[int], profile_ms: int) -> str:
    """What is wrong according to the `values` of one register, one per motor; empty if nothing is. The profile should be `profile_ms`.

    xs_sdk stops reading at the first motor that does not answer, or answers with its error bit set, as every tripped one does: fewer
    values than motors name it.
    """
    if len(values) < len(motors):
        return f'{motors[len(values)]}: {SILENT}'
    if register == PROFILE_VELOCITY:
        other = [value for value in values if value != profile_ms]
        return f'the servo profile is {other[0]} ms instead of {profile_ms}; {PROFILE_LOST}' if other else ''
    if register == TORQUE_ENABLE:
        limp = [motor for motor, value in zip(motors, values, strict=True) if not value]
        return f'{" and ".join(limp)}: torque is off' if limp else ''
    return '; '.join(f'{motor}: {_errors(value)}' for motor, value in zip(motors, values, strict=True) if value)


def _errors(value: int) -> str:
    known = [text for bit, text in ERROR_BITS.items() if value >> bit & 1]
    return f'{", ".join(known) or f"hardware error {value:#x}"}; remove the cause, support the arm, reboot the motor'
