#!/bin/sh
# dec:keras:mnist: the commands behind its results.

# 2,514 s at revision 3e3dd3301a4250a312624a982e64c31b23457d63.
# Pretraining ran at an uncommitted state of the same training code, the clustering phase and scores
# at this revision, from its checkpoint. The machine was shared with tests: seconds are an upper
# bound.
tfcluster train dec --dataset mnist --preset keras --seed 0 --threads 2 --out runs/reproduce/dec-keras-mnist/seed_0
