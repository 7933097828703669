"""c and σ of a run: what a policy version means by them, the steps they are fitted to, and a version that has the fitted ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mile_learner.bags import EpisodeRecord
from mile_learner.bundle import POLICY_FILE, Bundle, Manifest, now
from mile_learner.calibrate import Calibration, calibrate, cost_for_rate
from mile_learner.dataset import recorded, run_data
from mile_learner.errors import LearnerError
from mile_learner.guards import calibration_warnings, floor_warnings
from mile_learner.intervention import Gains
from mile_learner.meaning import METHOD, NOTED, Meaning, mean_probability
from mile_learner.methods.base import InterventionData
from mile_learner.methods.mile_losses import Batch
from mile_learner.run_folder import Run
from mile_learner.train import provenance


@dataclass(frozen=True)
class LoggedSteps:
    """N steps to which c and σ can be fitted.

    Attributes:
        gains: of intervening, in N states.
        intervening: ν, (N,).
        episode: number of the episode, (N,).
        operators: who held the pad, by number of the episode.
        agreeing: what intervening would gain where robot and human agree, in as many states as it takes.
        discrete: whether actions are.
        meaning: what is expected, and what ν is.
    """

    gains: Gains
    intervening: Tensor
    episode: Tensor
    operators: tuple[str, ...]
    agreeing: Gains
    discrete: bool
    meaning: Meaning

    def __len__(self) -> int:
        return len(self.intervening)

    @classmethod
    def concatenate(cls, parts: Sequence[LoggedSteps]) -> LoggedSteps:
        """Those of all parts; their episodes are numbered on."""
        first = np.cumsum([0, *(len(part.operators) for part in parts)]).tolist()
        return dataclasses.replace(
            parts[0],
            gains=Gains.concatenate([part.gains for part in parts]),
            agreeing=Gains.concatenate([part.agreeing for part in parts]),
            intervening=torch.cat([part.intervening for part in parts]),
            episode=torch.cat([part.episode + number for part, number in zip(parts, first, strict=False)]),
            operators=tuple(name for part in parts for name in part.operators),
        )

    @property
    def rate(self) -> float:
        """Observed fraction of ν = 1."""
        return self.intervening.double().mean().item()

    def by_operator(self) -> dict[str, LoggedSteps]:
        """The steps of each operator, by name."""
        names = np.array(self.operators)
        rows = {name: torch.from_numpy(names == name)[self.episode] for name in sorted(set(self.operators))}
        return {
            name: dataclasses.replace(self, gains=self.gains.take(row), intervening=self.intervening[row], episode=self.episode[row])
            for name, row in rows.items()
        }

    def floor(self, c: float, sigma: float) -> float:
        """p(ν=1|s) where robot and human agree."""
        return mean_probability(self.agreeing, c, sigma)

    def calibrate(self) -> Calibration:
        """Fit c and σ.

        Raises:
            LearnerError: only one class of ν, or gains that are not finite.
        """
        return calibrate(self.gains, self.intervening, exact=self.discrete, episode=self.episode)


@dataclass(frozen=True)
class Fit:
    """What came of some steps.

    Attributes:
        calibration: c and σ.
        c_for_rate: the c of the wanted rate at that σ [nats]; None where none is wanted.
        warnings: what is wrong with them, a line each.
    """

    calibration: Calibration
    c_for_rate: float | None
    warnings: tuple[str, ...]


def fit(steps: LoggedSteps, wanted: float | None = None) -> Fit:
    """Fit c and σ, and find the c with which p(ν=1|s) is `wanted` on average over the steps.

    Raises:
        LearnerError: only one class of ν, or gains that are not finite.
    """
    found = steps.calibrate()
    warnings = calibration_warnings(found) + floor_warnings(
        steps.floor(found.c, found.sigma), found.c, found.sigma, found.rate, 'were seen'
    )
    if wanted is None:
        return Fit(found, None, tuple(warnings))
    c = cost_for_rate(steps.gains, found.sigma, wanted)
    said = 'are wanted; no better policy comes below the floor'
    return Fit(found, c, (*warnings, *floor_warnings(steps.floor(c, found.sigma), c, found.sigma, wanted, said)))


def logged_steps(run: Run, bundle: Bundle, meaning: Meaning) -> LoggedSteps:
    """Every step of a run that says something about c and σ, its gains by the models of `bundle`.

    `bundle` is best the newest version: its policy was taught by what the human did, for whose it stands.

    Raises:
        LearnerError: `bundle` has no mental model where one is needed, or episodes that cannot be used.
    """
    meaning.check(bundle)
    return _steps_of_records(_records(run, bundle), bundle, meaning)


def steps_ahead(run: Run, bundle: Bundle, meaning: Meaning) -> LoggedSteps:
    """Those steps of a run, gains by the version that flew each episode, which had not been trained on it: did it foresee what came?

    A version that was trained on a step has the human's action there, so gains tell more about ν than in the next episode. What an
    initial policy flew is left out, for that is what its own mental model expects; so is what a version with the same weights flew.

    Raises:
        LearnerError: what is expected are the noted actions; no episode that a trained version flew; or episodes or versions that
            cannot be used.
    """
    if meaning.mental_model == NOTED:
        msg = 'calibration: got the noted actions, expected a mental model; the version that flew does what it noted, always'
        raise LearnerError(msg)
    flown: dict[str, list[tuple[int, EpisodeRecord]]] = {}
    for iteration, record in _records(run, bundle):
        flown.setdefault(str(record.metadata.get('policy_version', '')), []).append((iteration, record))
    versions = run.versions()
    initial = {version.weights.get(POLICY_FILE) for version in versions.values() if version.parent is None}
    trained = [name for name, version in versions.items() if name in flown and version.weights.get(POLICY_FILE) not in initial]
    if not trained:
        msg = f'{run.path}: got no episode that a trained version flew, expected at least one; deploy another iteration'
        raise LearnerError(msg)
    return LoggedSteps.concatenate([_steps_of_records(flown[name], Bundle.load(run.version_path(name)), meaning) for name in trained])


def _records(run: Run, bundle: Bundle) -> list[tuple[int, EpisodeRecord]]:
    return recorded([(iteration, path) for (iteration, _), path in run.episodes().items()], bundle.manifest.observation_layout)


def _steps_of_records(records: Sequence[tuple[int, EpisodeRecord]], bundle: Bundle, meaning: Meaning) -> LoggedSteps:
    data = run_data(records, bundle.manifest.history)
    return steps_of(data, bundle, meaning, tuple(record.operator_name for _, record in records))


def steps_of(data: InterventionData, bundle: Bundle, meaning: Meaning, operators: tuple[str, ...] = ()) -> LoggedSteps:
    """The steps of `data` that say something about c and σ; `operators`: by number of the episode, 0 and up (default: nobody is named).

    Raises:
        LearnerError: `bundle` has no mental model where one is needed.
    """
    meaning.check(bundle)
    steps = Batch.of(data, meaning.decisions)
    steps = steps.take(steps.decided)
    return LoggedSteps(
        gains=meaning.gains(bundle, steps),
        intervening=steps.intervening,
        episode=torch.from_numpy(data.episode[data.decided(meaning.decisions)]),
        operators=operators or ('',) * (int(data.episode.max()) + 1),
        agreeing=meaning.agreement(bundle.policy, steps.inputs),
        discrete=bundle.policy.distribution == 'categorical',
        meaning=meaning,
    )


def save_calibrated(run: Run, bundle: Bundle, meaning: Meaning, fit: Fit, *, ahead: bool = False) -> Manifest:
    """Save the models of `bundle` with σ, and c or the c of the wanted rate, as the next version; `ahead`: which steps they were fitted to.

    A training takes c and σ from the version that it starts from, the one that flies.

    Raises:
        LearnerError: the data do not determine c, or the version cannot be written.
    """
    found = fit.calibration
    if not np.isfinite(found.c_interval).all():
        msg = f'{run.path}: got {found.steps} steps that do not determine c, expected more; nothing was written, record more episodes'
        raise LearnerError(msg)
    manifest = dataclasses.replace(
        bundle.manifest,
        c=found.c if fit.c_for_rate is None else fit.c_for_rate,
        sigma=found.sigma,
        method=METHOD,
        parent=bundle.manifest.version,
        iteration=None,
        configuration={**bundle.manifest.configuration, METHOD: {**dataclasses.asdict(meaning), 'ahead': ahead}},
        data=provenance(run, run.episodes().values()),
        metrics={'log_loss': found.log_loss, 'steps': found.steps, 'intervention_rate': found.rate, 'warnings': list(fit.warnings)},
        created=now(),
    )
    return bundle.with_manifest(manifest).save(run.version_path(run.next_version()))
