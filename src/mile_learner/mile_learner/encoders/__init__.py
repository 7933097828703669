"""Image encoders: frozen networks that turn a camera image into the features that a policy consumes beside the arm's state.

Nothing heavy is imported before an encoder is opened: `torchvision` prepares the image, `torch` or, where installed, `openvino` runs the
network.
"""

from mile_learner.encoders import efficientnet_lite0, r3m
from mile_learner.encoders.kind import BACKENDS as BACKENDS
from mile_learner.encoders.kind import EncoderKind as EncoderKind
from mile_learner.errors import LearnerError

ENCODERS = {kind.name: kind for kind in (efficientnet_lite0.KIND, r3m.KIND)}


def encoder_kind(name: str) -> EncoderKind:
    """The encoder of this name.

    Raises:
        LearnerError: there is none; says which there are.
    """
    if name not in ENCODERS:
        msg = f'encoder: got {name!r}, expected one of {", ".join(ENCODERS)}'
        raise LearnerError(msg)
    return ENCODERS[name]
