"""`mile calibrate`: c and σ of the intervention model, fitted to a run's takeovers."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from mile_bringup.cli_common import Report, absolute, add_verb, finite, table


def add(verbs: Any) -> None:
    """Add the verb."""
    parser = add_verb(verbs, 'calibrate', run, help="fit c and sigma of the intervention model to a run's takeovers, with 95 %% intervals")
    parser.add_argument('run_dir', metavar='RUN', type=absolute, help='folder of the run')


def run(args: argparse.Namespace) -> Report:
    """Probit regression of ν on M, where M is that of the version which flew when the step was recorded."""
    import torch

    from mile_learner.bags import read_episode
    from mile_learner.bundle import Bundle
    from mile_learner.calibrate import calibrate
    from mile_learner.dataset import episode_data
    from mile_learner.errors import LearnerError
    from mile_learner.intervention import discrepancy
    from mile_learner.run_folder import Run
    from mile_learner.step import ACTION_DIM

    of = Run.open(args.run_dir)
    bundles: dict[str, Bundle] = {}
    m, nu = [torch.empty(0)], [torch.empty(0, dtype=torch.bool)]
    for (iteration, index), path in of.episodes().items():
        record = read_episode(path)
        version = record.metadata['policy_version']
        if version not in bundles:
            bundles[version] = Bundle.load(of.version_path(version))
        bundle = bundles[version]
        if bundle.mental_model is None:
            msg = f'{of.path}: {version} has no mental model; there is nothing to calibrate against'
            raise LearnerError(msg)
        data = episode_data(record, history=bundle.manifest.history, number=index, iteration=iteration)
        inputs = torch.from_numpy(data.stacked)
        with torch.inference_mode():
            m.append(discrepancy(*bundle.policy(inputs), *bundle.mental_model(inputs)))
        nu.append(torch.from_numpy(data.intervening))
    if len(m) == 1:
        msg = f'{of.path}: got no whole episode, expected at least one; run `mile deploy --run {of.path}`'
        raise LearnerError(msg)
    fit = calibrate(torch.cat(m), torch.cat(nu), ACTION_DIM)
    deployed = {version: {'c': bundle.manifest.c, 'sigma': bundle.manifest.sigma} for version, bundle in bundles.items()}
    rows = [
        ['c [nats]', fit.c, '[{:.2f}, {:.2f}]'.format(*fit.c_interval)],
        ['sigma [nats]', fit.sigma, '[{:.2f}, {:.2f}]'.format(*fit.sigma_interval)],
    ]
    skill = f'log loss {fit.log_loss:.3f}, of the constant rate {fit.rate:.3f}: {fit.rate_loss:.3f}; {fit.steps} steps'
    found = {'run': str(of.path), **asdict(fit), 'deployed': deployed}
    return Report(finite(found), f'{table(("", "fit", "95 % interval"), rows)}\n{skill}')
