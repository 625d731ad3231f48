#!/bin/sh
# dec:keras:synthetic: the commands behind its results.

# Not run yet.
tfcluster train dec --dataset synthetic --preset keras --seed 0 --out runs/reproduce/dec-keras-synthetic/seed_0
