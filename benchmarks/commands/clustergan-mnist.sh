#!/bin/sh
# clustergan:mnist: the commands behind its results.

# Not run yet.
tfcluster train clustergan --dataset mnist --preset auto --seed 0 --out runs/reproduce/clustergan-mnist/seed_0
