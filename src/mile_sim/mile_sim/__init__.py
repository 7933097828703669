"""The simulated WidowX 250s, its block-insertion task, expert and simulated operator.

Importing the package registers the gymnasium environment `mile/BlockInsertion-v0`.
"""

import gymnasium

gymnasium.register(id='mile/BlockInsertion-v0', entry_point='mile_sim.block_insertion:BlockInsertion')
