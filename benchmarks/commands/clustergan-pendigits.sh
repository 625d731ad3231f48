#!/bin/sh
# clustergan:pendigits: the commands behind its results.

# 7,388 s at revision 2f33622d83e7406b6fbe69c4e97384a4fb65d540.
# Trained on one thread by a script on this training code, before the command was finished, beside
# other work (7,388 s; 10.8 ms an iteration when alone on its core); seeds by number from 0 itself,
# where the command derives one from --seed; scored by the command from its checkpoint. The
# original's own log after training is on the validation samples.
tfcluster train clustergan --dataset pendigits --preset auto --seed 0 --threads 2 --out runs/reproduce/clustergan-pendigits/seed_0

# 6,134 s at revision 38e65565d8cbca409e2cfdbbe554b8ef3f8ecdcf.
tfcluster train clustergan --dataset pendigits --preset auto --seed 1 --threads 1 --out runs/reproduce/clustergan-pendigits/seed_1

# 6,056 s at revision 38e65565d8cbca409e2cfdbbe554b8ef3f8ecdcf.
tfcluster train clustergan --dataset pendigits --preset auto --seed 2 --threads 1 --out runs/reproduce/clustergan-pendigits/seed_2
