"""The command `tfcluster federate`."""
