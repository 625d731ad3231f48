#!/bin/sh
# dec:keras:mice_protein: the commands behind its figures.

# Not run yet.
tfcluster train dec --dataset mice_protein --preset keras --seed 0 --out runs/reproduce/dec-keras-mice_protein/seed_0
