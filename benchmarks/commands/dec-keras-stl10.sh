#!/bin/sh
# dec:keras:stl10: the commands behind its results.

# Not run yet.
tfcluster train dec --dataset stl10 --preset keras --seed 0 --out runs/reproduce/dec-keras-stl10/seed_0
