#!/bin/sh
# clustergan:fashion_mnist: the commands behind its results.

# Not run yet.
tfcluster train clustergan --dataset fashion_mnist --preset auto --seed 0 --out runs/reproduce/clustergan-fashion_mnist/seed_0
