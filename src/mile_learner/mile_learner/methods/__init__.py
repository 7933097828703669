"""The learning methods by name; a new method is one file and one line here."""

from mile_learner.methods.base import Method
from mile_learner.methods.mile import Mile
from mile_learner.methods.no_training import NoTraining

METHODS: dict[str, Method] = {
    'mile': Mile(),
    'no_training': NoTraining(),
}
