"""Stacks of networks, and everything about them that knows nothing of training.

- `network` has the whole stacked network. It is made of `trunks`, `layers` and a `decoder`;
  `network_size` tells its size in advance.
- `recipe` has the settings of a training, and `own_body` what is asked of a body of one's own.
- `losses` computes one loss per task, and `class_outputs` says which outputs belong to a task of
  classes. `forward_pass` keeps what is needed to compute the norms of the tasks' gradients
  (`gradients`) and their inner products (`gramian`) without a backward pass.
- `adam` is the optimiser. `random_streams` has the random numbers of every seed and purpose.

This room uses the ground alone: `tasks`, `bits`, `files`.
"""

from .adam import Adam, ParameterGroup
from .class_outputs import ClassOutputs
from .decoder import Decoder
from .forward_pass import ForwardPass
from .gradients import trunk_gradient_norms
from .gramian import trunk_gramian
from .layers import Linear
from .losses import task_losses
from .network import Network
from .network_size import network_size
from .own_body import OwnBody, example_rows, made_rows, needs_two_rows
from .random_streams import RESEED_OFFSET, RandomStreams, generator
from .recipe import Recipe, unknown_setting

__all__ = [
    "Adam",
    "ClassOutputs",
    "Decoder",
    "ForwardPass",
    "Linear",
    "Network",
    "OwnBody",
    "ParameterGroup",
    "RESEED_OFFSET",
    "RandomStreams",
    "Recipe",
    "example_rows",
    "generator",
    "made_rows",
    "needs_two_rows",
    "network_size",
    "task_losses",
    "trunk_gradient_norms",
    "trunk_gramian",
    "unknown_setting",
]
