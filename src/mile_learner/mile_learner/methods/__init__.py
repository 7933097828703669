"""The learning methods by name; a new method is one file and one line here."""

from mile_learner.methods.base import Method
from mile_learner.methods.bc_all import BcAll
from mile_learner.methods.bc_intervention import BcIntervention
from mile_learner.methods.bc_interventions import BcInterventions
from mile_learner.methods.dagger import Dagger
from mile_learner.methods.hg_dagger import HgDagger
from mile_learner.methods.iwr import Iwr
from mile_learner.methods.mile import Mile
from mile_learner.methods.mile_iwr import MileIwr
from mile_learner.methods.no_training import NoTraining
from mile_learner.methods.rlif import Rlif
from mile_learner.methods.sirius import Sirius

METHODS: dict[str, Method] = {
    'mile': Mile(),
    'mile_iwr': MileIwr(),
    'bc_intervention': BcIntervention(),
    'bc_interventions': BcInterventions(),
    'bc_all': BcAll(),
    'hg_dagger': HgDagger(),
    'iwr': Iwr(),
    'sirius': Sirius(),
    'rlif': Rlif(),
    'dagger': Dagger(),
    'no_training': NoTraining(),
}


def uses_c(name: str) -> bool:
    """Whether the method of this name trains with c and σ; one that does not leaves them as they are."""
    return getattr(METHODS.get(name), 'uses_c', False)
