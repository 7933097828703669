"""Faults that end a deployment: every one of its processes is killed in every mode, memory and disk run out.

One run is killed again and again; what resumes it after one fault, the very command that started it, carries it to the next.
"""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from mile_bringup import invariant_report
from mile_bringup.errors import BringupError, UsageError
from mile_bringup.faults.deployed import DEPLOY, Deployed, gone
from mile_bringup.faults.outcome import ENDED, TRAINING_ENDED, Outcome
from mile_bringup.faults.stage import make_run
from mile_bringup.faults.witness import Witness
from mile_bringup.isolation import claim_domain, lock_run
from mile_learner.bags import content_hash
from mile_learner.run_folder import Run
from mile_learner.step import Mode
from mile_teleop.arbiter_config import ArbiterConfig
from mile_teleop.salvage import salvage, target_of

AUTONOMOUS, TAKEOVER, BEFORE_TRAINING, TRAINING, PROMOTION = 'autonomous', 'takeover', 'before training', 'training', 'promotion'
NODES = (
    'sim_node',
    'arm_node',
    'operator_node',
    'policy_node',
    'teleop_node',
    'recorder_node',
    'learner_node',
    'session_node',
    DEPLOY,
)
START_S = 300.0
END_S = 150.0
SPEED, TIME_LIMIT_S = 2.0, 20.0
A_SECTOR = 512
UNDER_WAY = 10
"""Steps after which an episode has begun for everybody."""
RECORDER = 'recorder_node'
UNRECORDED_S = 1.0
"""So long may the arm go on that nobody records: the last second of an episode may be lost."""


@dataclass(frozen=True)
class Strike:
    """One fault.

    Attributes:
        name: of the fault.
        victim: name of the process.
        moment: AUTONOMOUS, TAKEOVER, BEFORE_TRAINING (in the episode before it), TRAINING or PROMOTION.
        act: what is done to the process, given its id.
        says: of what the command's last line must name one; by default the victim.
    """

    name: str
    victim: str
    moment: str
    act: Callable[[int], object]
    says: tuple[str, ...] = ()

    @property
    def moves(self) -> bool:
        """Whether an arm moves when it comes."""
        return self.moment in (AUTONOMOUS, TAKEOVER)


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def _hang(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)


def _no_disk(pid: int) -> None:
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (A_SECTOR, resource.RLIM_INFINITY))


def _no_memory(pid: int) -> None:
    """Not a byte more than it has."""
    size = int(Path(f'/proc/{pid}/statm').read_text().split()[0]) * resource.getpagesize()
    resource.prlimit(pid, resource.RLIMIT_AS, (size, resource.RLIM_INFINITY))


STRIKES = (
    *(Strike(f'kill {node} in a takeover', node, TAKEOVER, _kill) for node in NODES),
    *(Strike(f'kill {node} while the policy drives', node, AUTONOMOUS, _kill) for node in NODES),
    Strike('teleop_node hangs', 'teleop_node', AUTONOMOUS, _hang, ('see the log of teleop_node',)),
    Strike('disk full while recording', 'recorder_node', AUTONOMOUS, _no_disk, ('cannot be written',)),
    *(Strike(f'kill {node} in training', node, TRAINING, _kill) for node in NODES),
    Strike('disk full while saving a policy', 'learner_node', BEFORE_TRAINING, _no_disk, ('cannot be written',)),
    Strike('learner out of memory', 'learner_node', BEFORE_TRAINING, _no_memory, ('train: ', 'learner_node')),
    *(Strike(f'kill {node} in promotion', node, PROMOTION, _kill) for node in NODES),
)


@dataclass
class Kills:
    """A run that is killed again and again.

    Args:
        folder: where runs are made.
        strikes: in the order in which they come.
    """

    folder: Path
    strikes: Sequence[Strike]
    _runs: int = 0
    _whole: dict[Path, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        claim = claim_domain(os.environ, 'mile')
        self._domain = claim.domain
        claim.socket.close()

    def outcomes(self, told: Callable[[Outcome], object]) -> list[Outcome]:
        """Strike, resume, strike; finally the run goes on to its end. Each outcome is told once it is complete."""
        done: list[Outcome] = []
        run = self._new_run()
        waiting: Outcome | None = None
        for strike in [*self.strikes, None]:
            try:
                outcome = self._go_on(run, strike, waiting)
            except BringupError as error:
                if waiting is None:
                    raise
                waiting.resumed = False
                waiting.violations.append(str(error))
                run = self._new_run()
                outcome = self._go_on(run, strike, None) if strike else None
            if waiting is not None:
                told(waiting)
                done.append(waiting)
            waiting = outcome
        return done

    def _go_on(self, run: Run, strike: Strike | None, before: Outcome | None) -> Outcome | None:
        if strike is not None:
            return self._strike(run, strike, before)
        self._finish(run, before)
        return None

    def _new_run(self) -> Run:
        self._runs += 1
        self._whole = {}
        # each of these takes an episode of its own, and so an iteration
        iterations = 1 + sum(strike.moment in (BEFORE_TRAINING, PROMOTION) for strike in self.strikes)
        options = {'iterations': iterations, 'episodes': 1, 'speed': SPEED, 'time_limit': TIME_LIMIT_S}
        run, _ = make_run(self.folder / f'run_{self._runs}', options)
        return run

    def _strike(self, run: Run, strike: Strike, before: Outcome | None) -> Outcome:
        """Start, or resume after the fault `before`; wait for the moment; strike; see what is left.

        Raises:
            BringupError: the moment never came.
        """
        outcome = Outcome(strike.name, ENDED if strike.moves else TRAINING_ENDED)
        with Deployed(run.path, self._domain) as deployed:
            with Witness(domain=self._domain, namespace='mile', alive=deployed.check) as witness:
                versions = len(run.versions())

                def under_way(mode: Mode) -> bool:
                    return witness.mode is mode and witness.steps.get(witness.episode_id, 0) > UNDER_WAY

                moment = {
                    AUTONOMOUS: lambda: under_way(Mode.AUTONOMOUS),
                    TAKEOVER: lambda: under_way(Mode.HUMAN),
                    BEFORE_TRAINING: lambda: witness.episode_id,
                    TRAINING: lambda: witness.session.get('phase') == 'training' and witness.session.get('epoch', 0) > 0,
                    PROMOTION: lambda: len(run.versions()) > versions,
                }[strike.moment]
                witness.until(moment, strike.moment, START_S)
                if before is not None:
                    before.resumed = True
                episode, pids = witness.episode_id, deployed.pids()
                self._whole = {path: content_hash(path) for path in run.episodes().values()}
                struck, steps = time.monotonic(), witness.steps.get(episode, 0)
                strike.act(pids[strike.victim])
                while deployed.code is None and time.monotonic() < struck + END_S:
                    witness.wait(0.1)
                outcome.orphans = len(gone(pids, 10.0))
                ended = time.monotonic()
                if strike.moves:
                    outcome.hold_ms = (witness.last_move(struck, ended) - struck) * 1e3
                    outcome.limit_ms = 1e3 * (
                        UNRECORDED_S if strike.victim == RECORDER else ArbiterConfig().policy_timeout_s + run_period_s(run)
                    )
                    late = struck if strike.moment == TAKEOVER else struck + outcome.limit_ms * 1e-3
                    outcome.policy_commands_after = witness.policy_commands(late, ended)
                steps = max(steps, witness.steps.get(episode, 0))
            outcome.told = self._told(strike, deployed)
        outcome.stale_locks = self._stale_locks(run)
        self._account(run, outcome, steps if strike.moves else 0)
        return outcome

    def _told(self, strike: Strike, deployed: Deployed) -> str:
        """What the command said at its end; killed itself, it is the shell that says so."""
        said = deployed.last_words()
        if strike.victim == DEPLOY:
            return f'killed by {signal.Signals(-(deployed.code or 0)).name}'
        named = any(name in said for name in strike.says or (strike.victim,))
        return said if named and 'resume with' in said else ''

    def _stale_locks(self, run: Run) -> int:
        free = 0
        with suppress(UsageError):
            os.close(lock_run(run.path))
            free += 1
        with suppress(UsageError):
            claim_domain({'ROS_DOMAIN_ID': str(self._domain)}, 'mile').socket.close()
            free += 1
        return 2 - free

    def _account(self, run: Run, outcome: Outcome, steps: int) -> None:
        """What of `steps` steps that were published, and of the episodes that were whole, is lost."""
        now = {path: content_hash(path) for path in run.episodes().values()}
        outcome.committed_lost = sum(now.get(path) != digest for path, digest in self._whole.items())
        run.set_aside_torn_episodes()
        torn = [path for path in sorted(run.path.glob('*/episode_*.torn-*')) if not target_of(path).exists()]
        saved = sum(salvage(path).steps for path in torn)
        outcome.steps_lost = max(0, steps - saved)
        outcome.steps_lost_limit = round(1.0 / run_period_s(run)) if steps else 0

    def _finish(self, run: Run, before: Outcome | None) -> None:
        """Let the run go on to its end after the last fault, and see that all is there.

        Raises:
            BringupError: it is not.
        """
        with Deployed(run.path, self._domain) as deployed:
            end = time.monotonic() + START_S
            while deployed.code is None and time.monotonic() < end:
                time.sleep(0.2)
            words = deployed.last_words()
            if deployed.code != 0:
                msg = f'the run was not completed: exit code {deployed.code}, {words}'
                raise BringupError(msg)
        newest = max(run.versions())
        wrong = [warning for path in run.episodes().values() for warning in invariant_report.warnings(path)]
        if run.current() != newest or wrong:
            msg = f'the run is complete, but {run.current()} flies instead of {newest}; {"; ".join(wrong)}'
            raise BringupError(msg)
        if before is not None:
            before.resumed = True


def run_period_s(run: Run) -> float:
    """One tick of a run [s]."""
    task, deployment = run.config['task'], run.config['deployment']
    return 1.0 / (task['rate_hz'] * deployment['speed'])
