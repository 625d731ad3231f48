"""Training loops, phases, optimizers and checkpoints of both models."""
