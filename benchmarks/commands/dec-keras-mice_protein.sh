#!/bin/sh
# dec:keras:mice_protein: the commands behind its results.

# 128 s at revision 28981a7079d49a9273a94753c927b6e54ff288e0.
tfcluster train dec --dataset mice_protein --preset keras --seed 0 --threads 2 --out runs/reproduce/dec-keras-mice_protein/seed_0

# 50 s at revision 28981a7079d49a9273a94753c927b6e54ff288e0.
tfcluster train dec --dataset mice_protein --preset keras --seed 1 --threads 2 --out runs/reproduce/dec-keras-mice_protein/seed_1

# 78 s at revision 28981a7079d49a9273a94753c927b6e54ff288e0.
tfcluster train dec --dataset mice_protein --preset keras --seed 2 --threads 2 --out runs/reproduce/dec-keras-mice_protein/seed_2
