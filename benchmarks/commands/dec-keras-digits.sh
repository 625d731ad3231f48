#!/bin/sh
# dec:keras:digits: the commands behind its results.

# 144 s at revision af04afaf4e85d0a1dcfe858f7ca51470ae8dab7f.
tfcluster train dec --dataset digits --preset keras --seed 0 --threads 2 --out runs/reproduce/dec-keras-digits/seed_0

# 99 s at revision af04afaf4e85d0a1dcfe858f7ca51470ae8dab7f.
tfcluster train dec --dataset digits --preset keras --seed 1 --threads 2 --out runs/reproduce/dec-keras-digits/seed_1

# 107 s at revision af04afaf4e85d0a1dcfe858f7ca51470ae8dab7f.
tfcluster train dec --dataset digits --preset keras --seed 2 --threads 2 --out runs/reproduce/dec-keras-digits/seed_2
