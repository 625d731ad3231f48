#!/bin/sh
# dec:keras:heart_disease: the commands behind its results.

# 58 s at revision 28981a7079d49a9273a94753c927b6e54ff288e0.
tfcluster train dec --dataset heart_disease --preset keras --seed 0 --threads 2 --out runs/reproduce/dec-keras-heart_disease/seed_0

# 57 s at revision 28981a7079d49a9273a94753c927b6e54ff288e0.
tfcluster train dec --dataset heart_disease --preset keras --seed 1 --threads 2 --out runs/reproduce/dec-keras-heart_disease/seed_1

# 80 s at revision 28981a7079d49a9273a94753c927b6e54ff288e0.
tfcluster train dec --dataset heart_disease --preset keras --seed 2 --threads 2 --out runs/reproduce/dec-keras-heart_disease/seed_2
