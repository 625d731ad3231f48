#!/bin/sh
# dec:keras:reuters10k: the commands behind its results.

# Not run yet.
tfcluster train dec --dataset reuters10k --preset keras --seed 0 --out runs/reproduce/dec-keras-reuters10k/seed_0
