"""What stands around the arm: a table, a wooden box whose lid has an octagonal hole, and the octagonal block in the gripper."""

from __future__ import annotations

import math
from dataclasses import dataclass

import mujoco

from mile_learner.config import Config, option
from mile_sim.model import add_arm

BLOCK = 'block'
BOX = 'box'
_WOOD = (0.76, 0.58, 0.36, 1.0)
_DARK_WOOD = (0.55, 0.40, 0.24, 1.0)
_BLOCK_COLOUR = (0.15, 0.42, 0.78, 1.0)
_SEEN_BY_PADS = 2
_SEEN_BY_BOX = 4
_STIFF_CONTACT = {'solref': (0.005, 1.0), 'solimp': (0.99, 0.9999, 0.001, 0.5, 2.0)}
"""Softer contacts let the block creep in the grip and blur the clearance."""


@dataclass(frozen=True)
class SceneConfig(Config):
    """Sizes of the block and the box."""

    block_width_m: float = option(0.030, doc='between opposite faces of the octagonal block [m]', ge=0.016, le=0.045)
    block_length_m: float = option(0.060, doc='length of the block [m]', ge=0.04, le=0.1)
    clearance_m: float = option(0.001, doc='between block and hole on every side when centred [m]', gt=0.0, le=0.01)
    grip_height_m: float = option(0.040, doc='from the bottom of the block to the end effector when it is gripped [m]', ge=0.02, le=0.08)
    box_half_width_m: float = option(0.055, doc='half the outer width of the box [m]', ge=0.035, le=0.1)
    lid_height_m: float = option(0.070, doc='top of the lid above the table [m]', ge=0.05, le=0.15)
    lid_thickness_m: float = option(0.008, doc='thickness of the lid [m]', ge=0.002, le=0.03)
    timestep_s: float = option(0.002, doc='of the physics [s]', ge=0.0005, le=0.004)


def build_model(config: SceneConfig) -> mujoco.MjModel:
    """Arm, table, box and block as one MuJoCo model; the box is a mocap body, so that each reset can move it."""
    spec = mujoco.MjSpec()
    spec.compiler.degree = False
    spec.option.timestep = config.timestep_s
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.option.impratio = 100.0  # less lets a gripped block creep under load
    spec.visual.global_.offwidth, spec.visual.global_.offheight = 640, 480
    spec.visual.quality.shadowsize = 1024
    spec.visual.headlight.ambient = [0.35, 0.35, 0.35]
    spec.visual.headlight.diffuse = [0.35, 0.35, 0.35]
    _add_room(spec)
    add_arm(spec)
    _add_box(spec, config)
    _add_block(spec, config)
    return spec.compile()


def _add_room(spec: mujoco.MjSpec) -> None:
    _texture(spec, 'sky', mujoco.mjtTexture.mjTEXTURE_SKYBOX, mujoco.mjtBuiltin.mjBUILTIN_GRADIENT, [0.82, 0.88, 0.94], [0.45, 0.52, 0.60])
    _texture(spec, 'table', mujoco.mjtTexture.mjTEXTURE_2D, mujoco.mjtBuiltin.mjBUILTIN_CHECKER, [0.80, 0.80, 0.78], [0.72, 0.72, 0.71])
    table = spec.add_material(name='table', texrepeat=[12, 12], reflectance=0.05)
    table.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = 'table'
    world = spec.worldbody
    world.add_geom(
        name='table',
        type=mujoco.mjtGeom.mjGEOM_PLANE,
        size=[1.0, 1.0, 0.1],
        material='table',
        contype=_SEEN_BY_BOX,
        conaffinity=_SEEN_BY_BOX,
    )
    world.add_light(pos=[0.6, -0.6, 1.2], dir=[-0.35, 0.55, -1.0], diffuse=[0.6, 0.6, 0.58], castshadow=True)
    world.add_light(pos=[0.2, 0.8, 1.0], dir=[0.1, -0.8, -1.0], diffuse=[0.25, 0.25, 0.28], castshadow=False)
    world.add_camera(name='front', pos=[0.78, -0.46, 0.48], xyaxes=_look([0.78, -0.46, 0.48], [0.16, 0.0, 0.17]), fovy=42)
    world.add_camera(name='hole', pos=[0.46, -0.16, 0.22], xyaxes=_look([0.46, -0.16, 0.22], [0.27, 0.0, 0.09]), fovy=50)


def _texture(
    spec: mujoco.MjSpec, name: str, kind: mujoco.mjtTexture, builtin: mujoco.mjtBuiltin, first: list[float], second: list[float]
) -> None:
    spec.add_texture(name=name, type=kind, builtin=builtin, rgb1=first, rgb2=second, width=128, height=128)


def _look(eye: list[float], target: list[float]) -> list[float]:
    """The x and y axes of a camera at `eye` that looks at `target`, upright."""
    forward = [t - e for e, t in zip(eye, target, strict=True)]
    norm = math.sqrt(sum(value * value for value in forward))
    fx, fy, fz = (value / norm for value in forward)
    flat = math.hypot(fx, fy)
    right = [fy / flat, -fx / flat, 0.0]
    up = [-fx * fz / flat, -fy * fz / flat, flat]
    return right + up


def _add_box(spec: mujoco.MjSpec, config: SceneConfig) -> None:
    """The lid is eight boxes whose inner faces are tangent to the hole: four make the square, four cut its corners.

    Those four lie a tenth of a millimetre lower, because faces in one plane flicker in images.
    """
    box = spec.worldbody.add_body(name=BOX, mocap=True)
    half_hole = config.block_width_m / 2 + config.clearance_m
    outer = config.box_half_width_m
    thickness = config.lid_thickness_m / 2
    centre_z = -thickness
    solid = {'type': mujoco.mjtGeom.mjGEOM_BOX, 'contype': _SEEN_BY_BOX, 'conaffinity': _SEEN_BY_BOX, 'friction': (0.6, 0.005, 0.0001)}
    for side in range(8):
        angle = side * math.pi / 4
        corner = side % 2 == 1
        depth = half_hole * 0.3 if corner else (outer - half_hole) / 2
        width = half_hole * 0.5 if corner else (outer if side % 4 == 0 else half_hole)
        radius = half_hole + depth
        sunk = 0.0001 if corner else 0.0
        box.add_geom(
            name=f'lid_{side}',
            pos=(radius * math.cos(angle), radius * math.sin(angle), centre_z - sunk),
            quat=(math.cos(angle / 2), 0, 0, math.sin(angle / 2)),
            size=(depth, width, thickness),
            rgba=_WOOD,
            **solid,
        )
    height = (config.lid_height_m - config.lid_thickness_m) / 2
    for x, y in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        box.add_geom(
            pos=(x * (outer - 0.004), y * (outer - 0.004), -config.lid_thickness_m - height),
            size=(0.004, outer, height) if x else (outer - 0.008, 0.004, height),
            rgba=_DARK_WOOD,
            **solid,
        )


def _add_block(spec: mujoco.MjSpec, config: SceneConfig) -> None:
    """Four overlapping boxes, turned by 45 degrees each, are the octagonal prism exactly; only one of them meets the pads."""
    block = spec.worldbody.add_body(name=BLOCK)
    block.add_freejoint()
    half_side = config.block_width_m / 2 * math.tan(math.pi / 8)
    for turn in range(4):
        angle = turn * math.pi / 4
        gripped = turn == 2
        block.add_geom(
            name=f'block_{turn}',
            type=mujoco.mjtGeom.mjGEOM_BOX,
            quat=(math.cos(angle / 2), 0, 0, math.sin(angle / 2)),
            size=(config.block_width_m / 2, half_side, config.block_length_m / 2),
            rgba=_BLOCK_COLOUR,
            mass=0.007,
            **_STIFF_CONTACT,
            friction=(0.6, 0.005, 0.0001),
            contype=_SEEN_BY_BOX | (_SEEN_BY_PADS if gripped else 0),
            conaffinity=_SEEN_BY_BOX | (_SEEN_BY_PADS if gripped else 0),
        )
