"""`tfcluster reproduce`: the papers' tables beside the results of this code."""
