#!/bin/sh
# clustergan:10x_73k: the commands behind its results.

# Not run yet.
tfcluster train clustergan --dataset 10x_73k --preset auto --seed 0 --out runs/reproduce/clustergan-10x_73k/seed_0
