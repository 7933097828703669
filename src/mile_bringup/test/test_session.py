"""The session as a property: whatever it is cut at, resuming asks for what is still missing, and the run ends the same."""

from __future__ import annotations

import dataclasses
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mile_bringup import session as s
from mile_bringup.errors import BringupError
from mile_learner.bundle import Bundle, Manifest
from mile_learner.errors import LearnerError
from mile_learner.policy import Architecture, GaussianPolicy
from mile_learner.run_folder import Run
from mile_learner.run_state import Episode

PLAN = s.Plan(iterations=2, episodes=2, seed=7, metadata={'task': 'block_insertion'})


class World:
    """Answers a session's requests on disk as the nodes would, and can be cut after any number of them."""

    def __init__(self, run: Run, outcomes: Iterator[str]) -> None:
        self.run = run
        self.outcomes = outcomes
        self.flying = ''
        self.open: s.OpenBag | None = None
        self.log: list[tuple[str, object]] = []

    def answer(self, request: s.Request) -> object:
        match request:
            case s.LoadPolicy(path):
                assert self.open is None, 'a policy changes only between episodes'
                assert path.is_dir()
                self.flying = path.name
                return ('x',)
            case s.OpenBag(path):
                assert not path.exists(), 'a whole episode is never recorded again'
                assert request.metadata['policy_version'] == self.flying == self.run.current()
                path.with_name(path.name + '.incomplete').mkdir(parents=True)
                self.open = request
            case s.AwaitStart():
                return True
            case s.AwaitEnd():
                return next(self.outcomes)
            case s.StopEpisode():
                return 5
            case s.CloseBag(outcome, _, discard):
                assert self.open is not None
                assert discard == (outcome == 'discarded')
                torn = self.open.path.with_name(self.open.path.name + '.incomplete')
                if discard:
                    shutil.rmtree(torn)
                else:
                    (torn / 'metadata.yaml').write_text('', encoding='utf-8')
                    torn.rename(self.open.path)
                    self.log.append((self.open.path.name, (self.open.metadata['seed'], self.flying)))
                self.open = None
                return ''
            case s.Train(iteration):
                assert self.open is None
                version = self.run.next_version()
                write_version(self.run, version, iteration)
                self.log.append(('train', version))
        return None


def write_version(run: Run, version: str, iteration: int | None) -> None:
    manifest = Manifest(
        version, 'block_insertion', ('x',), 1, Architecture(input_dim=1, action_dim=4), None, 1.0, 1.0, 'test', iteration=iteration
    )
    folder = run.version_path(version)
    folder.mkdir(parents=True)
    (folder / 'manifest.json').write_text(json.dumps(manifest.to_mapping()), encoding='utf-8')


def conclude(run: Run) -> None:
    """As summary.conclude, without bags to read."""
    concluded = {record['iteration'] for record in run.metrics()}
    for manifest in run.versions().values():
        if manifest.iteration is not None and manifest.iteration not in concluded:
            run.promote(manifest.version)
            run.append_metrics({'iteration': manifest.iteration})


def drive(world: World, requests: int | None, plan: s.Plan = PLAN) -> bool:
    """Answer up to `requests` requests; whether the session finished."""
    script = s.session(world.run, plan, conclude=conclude)
    reply: object = None
    answered = 0
    while requests is None or answered < requests:
        try:
            request = script.send(reply)
        except StopIteration:
            return True
        reply = world.answer(request)
        answered += 1
    return False


def new_run(folder: str) -> Run:
    run = Run.create(Path(folder) / 'run', {})
    write_version(run, 'v000', None)
    run.promote('v000')
    return run


def uncut() -> list[tuple[str, object]]:
    with tempfile.TemporaryDirectory() as folder:
        world = World(new_run(folder), iter(['success', 'failure', 'timeout', 'success']))
        assert drive(world, None)
        return world.log


def test_an_uncut_session_records_every_episode_with_the_newest_policy_and_trains_after_each_iteration() -> None:
    seeds = [[s.start_seed(7, iteration, index) for index in range(2)] for iteration in range(2)]
    assert uncut() == [
        ('episode_000', (seeds[0][0], 'v000')),
        ('episode_001', (seeds[0][1], 'v000')),
        ('train', 'v001'),
        ('episode_000', (seeds[1][0], 'v001')),
        ('episode_001', (seeds[1][1], 'v001')),
        ('train', 'v002'),
    ]


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(0, 12), max_size=8), discards=st.lists(st.booleans(), min_size=8, max_size=8))
def test_resuming_from_any_cut_gives_the_same_sequence(cuts: list[int], discards: list[bool]) -> None:
    outcomes = ['discarded' if discard else 'success' for discard in discards]
    with tempfile.TemporaryDirectory() as folder:
        run = new_run(folder)
        feed = iter(outcomes + ['success'] * 100)
        log = []
        for cut in [*cuts, None]:
            world = World(run, feed)
            finished = drive(world, cut)
            log += world.log
        assert finished
        assert log == uncut()
        assert run.current() == 'v002'
        assert [record['iteration'] for record in run.metrics()] == [0, 1]
        torn = list(run.path.glob('iter_*/*.torn-*'))
        assert len(torn) <= len(cuts)
        assert not list(run.path.glob('iter_*/*.incomplete'))


def test_a_rollback_is_flown_until_the_next_training() -> None:
    with tempfile.TemporaryDirectory() as folder:
        run = new_run(folder)
        world = World(run, iter(['success'] * 100))
        requests = 0
        while not run.metrics():
            requests += 1
            world = World(run, iter(['success'] * 100))
            drive(world, requests)
        run.promote('v000')
        world = World(run, iter(['success'] * 100))
        assert drive(world, None)
        assert [entry[1][1] for entry in world.log if entry[0] != 'train'] == ['v000'] * len([e for e in world.log if e[0] != 'train'])
        assert world.log[-1] == ('train', 'v002')


@given(cuts=st.lists(st.integers(0, 12), max_size=5), asked_after=st.integers(0, 12))
@settings(max_examples=30, deadline=None)
def test_training_on_demand_ends_the_iteration_early_whatever_the_session_is_cut_at(cuts: list[int], asked_after: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run = new_run(folder)
        log = []
        world = World(run, iter(['success'] * 100))
        drive(world, asked_after)
        log += world.log
        todo = PLAN.next_action(run)
        if isinstance(todo, Episode):
            run.end_iteration(todo.iteration)
        episodes_before = len(run.episodes())
        for cut in [*cuts, None]:
            world = World(run, iter(['success'] * 100))
            drive(world, cut)
            log += world.log
        names = [name for name, _ in log]
        if isinstance(todo, Episode):
            assert len(run.recorded(f'iter_{todo.iteration:02d}')) == max(todo.index, 1), 'one episode is enough, and at least one it takes'
            done = names[episodes_before + todo.iteration :]
            assert done[0] == 'train' if todo.index else done[:2] == ['episode_000', 'train']
        assert names.count('train') == PLAN.iterations


@pytest.mark.parametrize(
    ('parent', 'advice'),
    [(None, 'put back a copy of its folder'), ('v007', r'fall back to its parent \(v007\): mile policies RUN rollback')],
)
def test_a_policy_that_was_changed_after_training_is_refused_before_anything_flies(parent: str | None, advice: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run = Run.create(Path(folder) / 'run', {})
        architecture = Architecture(input_dim=1, action_dim=4, hidden=(4,))
        manifest = Manifest('', 'block_insertion', ('x',), 1, architecture, None, 1.0, 1.0, 'test', parent=parent)
        Bundle(GaussianPolicy(architecture), None, manifest).save(run.version_path('v000'))
        run.promote('v000')
        weights = run.version_path('v000') / 'policy.safetensors'
        content = weights.read_bytes()
        weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        world = World(run, iter(['success'] * 100))
        with pytest.raises(LearnerError, match=rf'policy\.safetensors: SHA-256 is .* {advice}'):
            drive(world, None)
        assert world.flying == ''


class LossyWorld(World):
    """Its recorder misses a step of every episode, and sets the bag aside."""

    def answer(self, request: s.Request) -> object:
        if isinstance(request, s.CloseBag):
            self.open = None
            return 'got 4 steps, expected 5'
        return super().answer(request)


def test_a_recorder_that_never_completes_a_bag_ends_the_session() -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = LossyWorld(new_run(folder), iter(['success'] * 100))
        with pytest.raises(BringupError, match=r'3 episodes in a row .* because got 4 steps, expected 5'):
            drive(world, None)
        assert len(list(world.run.path.glob('iter_00/episode_000.*'))) == 3
        assert not world.run.episodes()


@settings(max_examples=20, deadline=None)
@given(
    cuts=st.lists(st.integers(0, 12), max_size=5),
    mode=st.sampled_from(['demonstrate', 'show']),
    discards=st.lists(st.booleans(), max_size=4),
)
def test_demonstrations_and_showings_are_episodes_and_nothing_else(cuts: list[int], mode: str, discards: list[bool]) -> None:
    plan = dataclasses.replace(PLAN, mode=mode, layout=('x',))
    with tempfile.TemporaryDirectory() as folder:
        run = Run.create(Path(folder) / 'run', {}) if mode == 'demonstrate' else new_run(folder)
        log, loaded = [], []
        outcomes = iter(['discarded' if discard else 'success' for discard in discards] + ['success'] * 20)
        for cut in [*cuts, None]:
            world = SittingWorld(run, outcomes)
            finished = drive(world, cut, plan)
            log += world.log
            loaded.append(world.flying)
        assert finished
        assert list(run.recorded({'demonstrate': 'demonstrations', 'show': 'shown_v000'}[mode])) == [0, 1]
        assert [name for name, _ in log] == ['episode_000', 'episode_001']
        assert set(loaded) <= {'demonstrate': {''}, 'show': {'', 'v000'}}[mode], 'a demonstration needs no policy'
        assert not run.episodes()
        assert not run.metrics()


class SittingWorld(World):
    """The same for episodes that belong to no iteration."""

    def answer(self, request: s.Request) -> object:
        if isinstance(request, s.OpenBag):
            assert 'iteration' not in request.metadata
            assert request.metadata['observation_layout'] == ['x']
            request.path.with_name(request.path.name + '.incomplete').mkdir(parents=True)
            self.open = request
            return None
        return super().answer(request)
