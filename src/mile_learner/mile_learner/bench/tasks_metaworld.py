"""Button-press, drawer-open and peg-insert-side of Meta-World (v3, MuJoCo), with its scripted policies as experts.

Facts established by experiment with metaworld 3.1.1: `reset(seed)` ignores the seed, so the start state is drawn through the environment's
own seeded generator; the episode ends at 500 steps (the paper says 1000, which the environment does not reach); of the 39 observation
entries 18 repeat the previous frame, which history stacking makes redundant: here an observation is the present frame and the goal, 21
entries; scripted policies leave [-1, 1] and warn about it at every step.
"""

from __future__ import annotations

import functools
import warnings
from typing import Any

import gymnasium
import numpy as np
from metaworld.env_dict import ALL_V3_ENVIRONMENTS
from metaworld.policies import ENV_POLICY_MAP

from mile_learner.bench.tasks import InitialRecipe, Task
from mile_learner.step import Array

HORIZON = 500
_FRAME = 18
_LAYOUT = (
    *('hand_x', 'hand_y', 'hand_z', 'gripper'),
    *(f'object_{k}_{name}' for k in (1, 2) for name in ('x', 'y', 'z', 'qx', 'qy', 'qz', 'qw')),
    *('goal_x', 'goal_y', 'goal_z'),
)


class MetaWorldTask(gymnasium.Env[Any, Any]):  # type: ignore[misc]
    """One Meta-World environment whose `reset(seed=n)` always starts in the same state, and whose episode ends with success.

    Observation: (21,) float64: hand, gripper, two objects (position and quaternion), goal [m]. Action: (4,) in [-1, 1]: displacement of
    the hand (1: 10 mm) and gripper effort. `raw`: the 39 entries of Meta-World, for its scripted policies.
    """

    def __init__(self, name: str) -> None:
        self._env = ALL_V3_ENVIRONMENTS[name]()
        self._env._partially_observable = False
        del self._env.sawyer_observation_space  # cached with the goal's range empty, which would clip the goal away
        self._env._set_task_called = True
        self._env._freeze_rand_vec = False
        self._env.seeded_rand_vec = True
        self.action_space = self._env.action_space
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (len(_LAYOUT),))
        self.raw = np.zeros(39)
        self._seeds = np.random.default_rng(0)

    def _observation(self) -> Any:
        return np.concatenate([self.raw[:_FRAME], self.raw[36:]])

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:  # noqa: ARG002
        """Start in the state that belongs to `seed`."""
        self._env.seed(int(self._seeds.integers(2**31)) if seed is None else seed)
        self.raw, _ = self._env.reset()
        return self._observation(), {'success': False}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """One control step of 12.5 ms; ends with success or after 500 steps."""
        self.raw, reward, _, _, info = self._env.step(np.clip(action, -1.0, 1.0))
        success = bool(info['success'])
        truncated = not success and self._env.curr_path_length >= HORIZON
        return self._observation(), float(reward), success, truncated, {'success': success}


class ScriptedExpert:
    """Meta-World's scripted policy, clipped.

    With a bias it believes one coordinate to lie further from the middle of its range than it does, by the fraction `bias`: right in the
    middle, ever more wrong towards the edges. The coordinate is the first object's x, for peg-insert-side the goal's y.
    """

    def __init__(self, name: str, coordinate: int, middle: float, bias: float) -> None:
        self._policy = ENV_POLICY_MAP[name]()
        self._coordinate = coordinate
        self._middle = middle
        self._bias = bias

    def __call__(self, env: gymnasium.Env[Any, Any], observation: Array) -> Array:  # noqa: ARG002
        """The action for what `env` last showed, (4,)."""
        assert isinstance(env, MetaWorldTask)
        believed = env.raw.copy()
        believed[self._coordinate] += self._bias * (believed[self._coordinate] - self._middle)
        with warnings.catch_warnings():
            warnings.filterwarnings('ignore', message='Constant', category=UserWarning)
            action = self._policy.get_action(believed)
        clipped: Array = np.clip(action, -1.0, 1.0).astype(np.float32)
        return clipped


def _task(name: str, environment: str, *, coordinate: int, middle: float, guess: float, demonstrations: int = 20, cdf_ratio: float) -> Task:
    return Task(
        name=name,
        make=functools.partial(MetaWorldTask, environment),
        observation_layout=_LAYOUT,
        action_dim=4,
        discrete=False,
        horizon=HORIZON,
        expert=functools.partial(ScriptedExpert, environment, coordinate, middle),
        initial=InitialRecipe(guess=guess, limit=4.0, demonstrations=demonstrations, longest=200),
        cdf_ratio=cdf_ratio,
    )


BUTTON_PRESS = _task('button_press', 'button-press-v3', coordinate=4, middle=0.0, guess=1.2, cdf_ratio=200 / 150)
DRAWER_OPEN = _task('drawer_open', 'drawer-open-v3', coordinate=4, middle=0.0, guess=1.2, cdf_ratio=75 / 60)
PEG_INSERT = _task('peg_insert', 'peg-insert-side-v3', coordinate=37, middle=0.55, guess=0.3, demonstrations=50, cdf_ratio=175 / 75)
