#!/bin/sh
# dec:keras:usps: the commands behind its results.

# Not run yet.
tfcluster train dec --dataset usps --preset keras --seed 0 --out runs/reproduce/dec-keras-usps/seed_0
