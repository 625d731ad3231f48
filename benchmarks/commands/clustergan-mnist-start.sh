#!/bin/sh
# clustergan:mnist:start: the commands behind its results.

# 6,595 s at revision fe04826dc61cc19edb6e22b86e4b5e1fe32a9eb9.
# 10,000 of the 500,000 iterations, products in bfloat16: a start, not a reproduction. Begun and
# resumed (killed by SIGKILL twice, after 2,000 and 7,600 iterations, to go on with faster code) by
# a script on this training code beside other work, finished by the command from its checkpoint;
# seeds by number from 0 itself, where the command derives one from --seed.
tfcluster train clustergan --dataset mnist --preset auto --set steps=10000 --set precision=bfloat16 --seed 0 --threads 2 --out runs/reproduce/clustergan-mnist-start/seed_0
