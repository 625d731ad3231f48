#!/bin/sh
# clustergan:fashion5: the commands behind its results.

# Not run yet.
tfcluster train clustergan --dataset fashion5 --preset auto --seed 0 --out runs/reproduce/clustergan-fashion5/seed_0
