#!/bin/sh
# dec:paper:mnist: the commands behind its results.

# 3,820 s at revision e325c377f1bd50669fb445b625670c86350df386.
# Killed by SIGKILL in layer 1 and resumed once: mnist_paper_resumed.log. The machine was shared
# with tests: seconds are an upper bound.
tfcluster train dec --dataset mnist --preset paper --seed 0 --threads 2 --out runs/reproduce/dec-paper-mnist/seed_0
