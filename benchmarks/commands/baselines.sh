#!/bin/sh
# scikit-learn's clusterings of each data set, on the split that one of its rows scores.
tfcluster reproduce --baselines --seeds 1 dec:paper:mnist
tfcluster reproduce --baselines --seeds 1 dec:keras:fashion_mnist
tfcluster reproduce --baselines --seeds 3 clustergan:digits
tfcluster reproduce --baselines --seeds 3 clustergan:synthetic
tfcluster reproduce --baselines --seeds 3 dec:keras:heart_disease
tfcluster reproduce --baselines --seeds 3 dec:keras:mice_protein
tfcluster reproduce --baselines --seeds 1 clustergan:mnist:start
tfcluster reproduce --baselines --seeds 1 clustergan:fashion_mnist
tfcluster reproduce --baselines --seeds 1 clustergan:fashion5
tfcluster reproduce --baselines --seeds 3 clustergan:pendigits
