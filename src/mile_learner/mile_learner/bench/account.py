"""The account of a preparation, read back and written for people: how each part was made, and how that differs from the paper."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mile_learner.bench.calibration import TOLERANCE
from mile_learner.errors import LearnerError
from mile_learner.plain_text import load_json

_NUMBERS = ('dial', 'c', 'sigma', 'floor', 'wanted', 'rate', 'success')
_QUICK = '**Made with --quick: fewer demonstrations, epochs and pilots, to see that everything works.**'
_DIFFERENCES = """\
| | paper | here |
|---|---|---|
| expert | SAC (Meta-World), DQN (LunarLander) | a scripted controller (_dqn, _sac: DQN, SAC with prior data), noisy hand |
| initial policy | a suboptimal SAC or DQN, success not stated | clone of an expert with a wrong belief (_dqn, _sac: an early snapshot) |
| human's policy in Eq. 2 | the expert's own distribution | Gaussian around the expert's action; discrete: a clone of the expert |
| mental model of the human | clone of 100 rollouts of the initial policy | the same (informed, holding: the policy that flies) |
| c, sigma of the human | Table I | bisected on pilot episodes with interventions to the wanted rate, sigma by the gate's floor |
| episodes | at most 1000 steps | Meta-World ends at 500 |
| observation (Meta-World) | four stacked states | the same without Meta-World's own repetition of the previous frame |
"""


def account_text(account: Mapping[str, Any]) -> str:
    """Markdown."""
    config, initial, expert = account['config'], account['initial'], account['expert']
    lines = [
        f'# {account["task"]}, seed {account["seed"]}',
        '',
        *([_QUICK, ''] if account['quick'] else []),
        f'- Expert: success {expert["success"]:.2f}, return {expert["return"]:.1f}, {expert["steps"]:.0f} steps on {config["tune"]} tuning '
        'states.',
        f'- Initial policy: success {initial["success"]:.2f}, return {initial["return"]:.1f} on the same states; clone of '
        f'{initial["demonstrations"]} episodes of an expert with error {initial["bias"]:.3g} '
        f'(tried, with success: {", ".join(f"{bias:.3g}: {rate:.2f}" for bias, rate in initial["tried"])}).',
        f'- Mental model: clone of {config["mental_episodes"]} episodes of the initial policy.',
        f'- Start states: {", ".join(f"{count} {name}" for name, count in account["starts"].items())}; disjoint; tune and test are '
        'the same for every seed.',
        '',
        f'Rates are fractions of steps with an intervention; reached: within {TOLERANCE} of the wanted one on {config["pilots"]} pilot '
        'episodes. Other start states, and few episodes, have rates of their own.',
        '',
        '| human | dial | c | sigma | floor | wanted rate | rate on the pilots | success of the assisted robot | reached |',
        '|---|---|---|---|---|---|---|---|---|',
    ]
    for gate, dial in account['humans'].items():
        numbers = ' | '.join('-' if dial[key] is None else f'{dial[key]:.3g}' for key in _NUMBERS)
        lines.append(f'| {gate} | {numbers} | {"yes" if dial["reached"] else "no"} |')
    if missed := missed_rates(account):
        lines += ['', f'**{missed}**']
    return '\n'.join([*lines, '', '## How this differs from the paper', '', _DIFFERENCES])


def missed_rates(account: Mapping[str, Any]) -> str:
    """Which humans' rates on the pilots are not within the tolerance of the wanted ones, in one line; empty where all are."""
    missed = [
        f'{human} {dial["rate"]:.2f} (wanted {dial["wanted"]:.2f})' for human, dial in account['humans'].items() if not dial['reached']
    ]
    return f'wanted rate of interventions missed on the pilots by more than {TOLERANCE}: {", ".join(missed)}' if missed else ''


def read_account(path: Path) -> dict[str, Any]:
    """What account.json holds.

    Raises:
        LearnerError: it is damaged.
    """
    try:
        account = load_json(path.read_text(encoding='utf-8'))
        return {**account, 'humans': dict(account['humans'])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f'{path}: is no account of a preparation ({error}); delete it, and it is made anew of what lies beside it'
        raise LearnerError(msg) from error
