"""The command `tfcluster`: one module a command; `run` holds what they share."""
