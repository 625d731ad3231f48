"""What the command line does: one module a command, the shared part of a run in `run`."""
