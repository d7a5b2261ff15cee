"""What optimizers need to know about the parameters of a binary network."""

from bittern.optim.groups import decay_groups as decay_groups
