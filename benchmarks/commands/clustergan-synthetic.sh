#!/bin/sh
# clustergan:synthetic: the commands behind its results.

# 408 s at revision b72f36bcb4ab08d5fdd6c3af31c3e43540dbb6e1.
tfcluster train clustergan --dataset synthetic --preset auto --seed 0 --threads 1 --out runs/reproduce/clustergan-synthetic/seed_0
