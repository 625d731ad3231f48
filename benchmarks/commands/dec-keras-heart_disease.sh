#!/bin/sh
# dec:keras:heart_disease: the commands behind its figures.

# Not run yet.
tfcluster train dec --dataset heart_disease --preset keras --seed 0 --out runs/reproduce/dec-keras-heart_disease/seed_0
