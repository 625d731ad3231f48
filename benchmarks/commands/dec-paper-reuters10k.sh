#!/bin/sh
# dec:paper:reuters10k: the commands behind its results.

# Not run yet.
tfcluster train dec --dataset reuters10k --preset paper --seed 0 --out runs/reproduce/dec-paper-reuters10k/seed_0
