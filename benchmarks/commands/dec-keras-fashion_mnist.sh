#!/bin/sh
# dec:keras:fashion_mnist: the commands behind its results.

# Not run yet.
tfcluster train dec --dataset fashion_mnist --preset keras --seed 0 --out runs/reproduce/dec-keras-fashion_mnist/seed_0
