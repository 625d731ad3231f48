"""The command `tfcluster`: its commands, their options, the run's folder, and printed tables."""
