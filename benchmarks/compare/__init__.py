"""`tfcluster compare`: engines and procedures side by side, one process and one line a run."""
