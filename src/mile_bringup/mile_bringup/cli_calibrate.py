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
    """Probit regression of ν on M, which says how far the robot was from what the current policy, taught by the human, would do."""
    import torch

    from mile_learner.bags import read_episode
    from mile_learner.bundle import Bundle
    from mile_learner.calibrate import calibrate, noted_discrepancy
    from mile_learner.dataset import run_data
    from mile_learner.run_folder import Run

    of = Run.open(args.run_dir)
    bundle = Bundle.load(of.version_path(of.current()))
    data = run_data([(iteration, read_episode(path)) for (iteration, _), path in of.episodes().items()], bundle.manifest.history)
    m = noted_discrepancy(bundle.policy, data.stacked, data.robot_action)
    fit = calibrate(m, torch.from_numpy(data.intervening), bundle.manifest.architecture.action_dim)
    deployed = {'version': bundle.manifest.version, 'c': bundle.manifest.c, 'sigma': bundle.manifest.sigma}
    rows = [
        ['c [nats]', fit.c, '[{:.2f}, {:.2f}]'.format(*fit.c_interval)],
        ['sigma [nats]', fit.sigma, '[{:.2f}, {:.2f}]'.format(*fit.sigma_interval)],
    ]
    skill = f'log loss {fit.log_loss:.3f}, of the constant rate {fit.rate:.3f}: {fit.rate_loss:.3f}; {fit.steps} steps'
    found = {'run': str(of.path), **asdict(fit), 'deployed': deployed}
    return Report(finite(found), f'{table(("", "fit", "95 % interval"), rows)}\n{skill}')
