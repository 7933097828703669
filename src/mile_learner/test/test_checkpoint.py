"""A training that was killed goes on to the same weights, to the bit, as one that was not; what does not belong is passed over."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from mile_learner.bundle import Bundle
from mile_learner.methods import checkpoint
from mile_learner.methods.behaviour_cloning import BehaviourCloningConfig, clone
from mile_learner.methods.training import TrainingCancelled
from mile_learner.run_folder import Run
from mile_learner.step import Step
from mile_learner.train import train

OPTIONS = {'epochs': 8, 'batch_size': 16, 'learning_rate': 1e-3}
KILLED_AFTER = 5


@pytest.fixture
def run(tmp_path: Path, make_bundle: Callable[..., Bundle], make_step: Callable[..., Step], write_episode: Callable[..., Path]) -> Run:
    """A run to train on, with a twin."""
    run = Run.create(tmp_path / 'run', {'seed': 5})
    make_bundle().save(run.version_path('v000'))
    run.promote('v000')
    write_episode(run.episode_path(0, 0), [make_step(i, intervening=10 <= i < 20) for i in range(40)])
    shutil.copytree(run.path, tmp_path / 'twin')
    return run


@pytest.fixture(autouse=True)
def every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint after every epoch."""
    saved = checkpoint.Checkpoint.__init__
    monkeypatch.setattr(checkpoint.Checkpoint, '__init__', lambda self, path, key, _: saved(self, path, key, 0.0))


def train_and_die(path: Path, method: str) -> None:
    def die(epoch: int, *_: object) -> bool:
        if epoch == KILLED_AFTER:
            os.kill(os.getpid(), signal.SIGKILL)
        return True

    train(Run.open(path), method=method, overrides=OPTIONS, progress=die)


def weights(run: Run) -> dict[str, torch.Tensor]:
    bundle = Bundle.load(run.version_path('v001'))
    assert bundle.mental_model is not None
    parts = {'policy': bundle.policy.state_dict(), 'mental model': bundle.mental_model.state_dict()}
    return {f'{part} {name}': value for part, state in parts.items() for name, value in state.items()}


@pytest.mark.parametrize('method', ['mile', 'iwr', 'bc_intervention', 'rlif'])
def test_killed_and_resumed_is_bit_equal_to_uncut(run: Run, tmp_path: Path, method: str) -> None:
    torch.set_num_threads(1)
    child = multiprocessing.get_context('fork').Process(target=train_and_die, args=(run.path, method))
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    assert [path.name for path in (run.path / 'policies').glob('.training*')] == ['.training-v001.safetensors']
    assert run.next_version() == 'v001'
    first: list[int] = []
    resumed = train(run, method=method, overrides=OPTIONS, progress=lambda epoch, *_: first.append(epoch) or True)
    assert first == list(range(KILLED_AFTER, OPTIONS['epochs'] + 1)), 'the epoch it was killed in is done again'
    twin = Run.open(tmp_path / 'twin')
    uncut = train(twin, method=method, overrides=OPTIONS)
    assert resumed.weights == uncut.weights
    assert json.dumps(dict(resumed.metrics)) == json.dumps(dict(uncut.metrics))
    one, other = weights(run), weights(twin)
    assert all(torch.equal(one[name], other[name]) for name in other)
    assert not list((run.path / 'policies').glob('.training*'))


def cancelled(run: Run, **options: object) -> None:
    with pytest.raises(TrainingCancelled):
        train(run, overrides=OPTIONS | options, progress=lambda epoch, *_: epoch < KILLED_AFTER)


@pytest.mark.parametrize('damage', [lambda content: content[:100], lambda _: b'\xff' * 200, lambda _: b''])
def test_a_damaged_checkpoint_is_passed_over(run: Run, tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    cancelled(run)
    (file,) = (run.path / 'policies').glob('.training*')
    file.write_bytes(damage(file.read_bytes()))
    assert train(run, overrides=OPTIONS).weights == train(Run.open(tmp_path / 'twin'), overrides=OPTIONS).weights


def test_a_checkpoint_of_another_training_is_passed_over(run: Run, tmp_path: Path) -> None:
    cancelled(run, learning_rate=2e-3)
    assert train(run, overrides=OPTIONS).weights == train(Run.open(tmp_path / 'twin'), overrides=OPTIONS).weights


def test_behaviour_cloning_that_stops_early_does_so_at_the_same_epoch_after_a_resume(tmp_path: Path) -> None:
    inputs = torch.randn((60, 3), generator=torch.Generator().manual_seed(0))
    config = BehaviourCloningConfig(hidden=(8,), epochs=200, patience=3, learning_rate=3e-2)
    data = (inputs, inputs[:, [0, 1, 2, 0]].tanh(), torch.arange(60) // 10, config)
    uncut, losses = clone(*data, seed=0)
    assert losses['epoch'] > KILLED_AFTER

    def resumed(stop_at: int) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
        with checkpoint.checkpointing(tmp_path / 'c', 'key'):
            policy, same = clone(*data, seed=0, report=lambda epoch, *_: epoch < stop_at)
        return policy.state_dict(), same

    with pytest.raises(TrainingCancelled):
        resumed(KILLED_AFTER)
    with pytest.raises(TrainingCancelled):
        resumed(int(losses['epoch']) + 3)
    weights, same = resumed(config.epochs + 1)
    assert same == losses
    assert all(torch.equal(weights[name], value) for name, value in uncut.state_dict().items())
