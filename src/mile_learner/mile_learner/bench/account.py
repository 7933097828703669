"""The account of a preparation for people: how each part was made, and how that differs from the paper."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
        '| human | dial | c | sigma | floor | rate | success of the assisted robot | wanted rate reached |',
        '|---|---|---|---|---|---|---|---|',
    ]
    for gate, dial in account['humans'].items():
        numbers = ' | '.join('-' if dial[key] is None else f'{dial[key]:.3g}' for key in ('dial', 'c', 'sigma', 'floor', 'rate', 'success'))
        lines.append(f'| {gate} | {numbers} | {"yes" if dial["reached"] else "no"} |')
    return '\n'.join([*lines, '', '## How this differs from the paper', '', _DIFFERENCES])
