"""Training loops, phases, optimizers and checkpoints that both models share."""
