#!/bin/sh
# clustergan:digits: the commands behind its results.

# 504 s at revision 892c9ae78e0bef54153c2410808af65d2a372268.
# Run with --set steps=20000 when the preset said 50,000; 20,000 is the preset's value now.
tfcluster train clustergan --dataset digits --preset auto --seed 0 --threads 1 --out runs/reproduce/clustergan-digits/seed_0

# 974 s at revision fe04826dc61cc19edb6e22b86e4b5e1fe32a9eb9.
# The revision is that of the end; training began two to five commits before, with the same training
# code for these networks.
tfcluster train clustergan --dataset digits --preset auto --seed 1 --threads 1 --out runs/reproduce/clustergan-digits/seed_1

# 531 s at revision fe04826dc61cc19edb6e22b86e4b5e1fe32a9eb9.
# The revision is that of the end; training began two to five commits before, with the same training
# code for these networks.
tfcluster train clustergan --dataset digits --preset auto --seed 2 --threads 1 --out runs/reproduce/clustergan-digits/seed_2
