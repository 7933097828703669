"""SDL's own virtual joystick: what it reports takes the way of every real pad from SDL's device list and event queue on."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pygame

_Rumble = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_uint16, ctypes.c_uint16)


class _Description(ctypes.Structure):
    """SDL_VirtualJoystickDesc of SDL 2.28."""

    _fields_ = (
        *((name, ctypes.c_uint16) for name in ('version', 'type', 'axes', 'buttons', 'hats', 'vendor', 'product', 'padding')),
        ('button_mask', ctypes.c_uint32),
        ('axis_mask', ctypes.c_uint32),
        ('name', ctypes.c_char_p),
        ('user_data', ctypes.c_void_p),
        ('update', ctypes.c_void_p),
        ('set_player_index', ctypes.c_void_p),
        ('rumble', _Rumble),
        ('rumble_triggers', ctypes.c_void_p),
        ('set_led', ctypes.c_void_p),
        ('send_effect', ctypes.c_void_p),
    )


def _sdl() -> ctypes.CDLL:
    """The SDL that pygame has loaded: the one in its wheel, or the system's."""
    bundled = list((Path(pygame.__file__).parents[1] / 'pygame.libs').glob('libSDL2-2*.so*'))
    sdl = ctypes.CDLL(str(bundled[0]) if bundled else 'libSDL2-2.0.so.0')
    sdl.SDL_JoystickOpen.restype = ctypes.c_void_p
    return sdl


class VirtualPad:
    """A pad that is plugged in by making it. SDL's joysticks must be up (a `PadDevice` exists).

    Args:
        motors: whether it can rumble; what it was told is in `rumbles`, as (strong, weak) from 0 to 65535.
    """

    def __init__(
        self, axes: int = 6, buttons: int = 17, hats: int = 0, *, name: str = 'Sony PLAYSTATION(R)3 Controller', motors: bool = True
    ) -> None:
        self.rumbles: list[tuple[int, int]] = []
        self._sdl = _sdl()
        self._callback = _Rumble(self._on_rumble) if motors else _Rumble()
        description = _Description(1, 0, axes, buttons, hats, 0x054C, 0x0268, name=name.encode(), rumble=self._callback)
        index = self._sdl.SDL_JoystickAttachVirtualEx(ctypes.byref(description))
        assert index >= 0
        self._handle = ctypes.c_void_p(self._sdl.SDL_JoystickOpen(index))
        self._instance = self._sdl.SDL_JoystickInstanceID(self._handle)

    def axis(self, index: int, value: float) -> None:
        """Deflect an axis, in SDL's sign: right and down are +1."""
        assert self._sdl.SDL_JoystickSetVirtualAxis(self._handle, index, ctypes.c_int16(round(32767.5 * value - 0.5))) == 0

    def button(self, index: int, down: int) -> None:
        """Press or release a button."""
        assert self._sdl.SDL_JoystickSetVirtualButton(self._handle, index, ctypes.c_uint8(down)) == 0

    def hat(self, index: int, value: int) -> None:
        """Push a hat: 1 up, 2 right, 4 down, 8 left, 0 none, or sums."""
        assert self._sdl.SDL_JoystickSetVirtualHat(self._handle, index, ctypes.c_uint8(value)) == 0

    def pump(self) -> None:
        """Let SDL see the state now, as it does every millisecond while somebody waits for events."""
        self._sdl.SDL_PumpEvents()

    def unplug(self) -> None:
        """Take the device away, whatever is held."""
        devices = range(self._sdl.SDL_NumJoysticks())
        index = next(device for device in devices if self._sdl.SDL_JoystickGetDeviceInstanceID(device) == self._instance)
        assert self._sdl.SDL_JoystickDetachVirtual(index) == 0
        self._sdl.SDL_JoystickClose(self._handle)

    def _on_rumble(self, _: int, strong: int, weak: int) -> int:
        self.rumbles.append((strong, weak))
        return 0
