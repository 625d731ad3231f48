#!/bin/sh
# dec:paper:stl10: the commands behind its results.

# Not run yet.
tfcluster train dec --dataset stl10 --preset paper --seed 0 --out runs/reproduce/dec-paper-stl10/seed_0
