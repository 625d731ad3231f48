#!/bin/sh
# scikit-learn's clusterings, of each data set as one of its rows scores it.
tfcluster reproduce --baselines --seeds 3 clustergan:digits
tfcluster reproduce --baselines --seeds 3 clustergan:synthetic
tfcluster reproduce --baselines --seeds 3 dec:keras:heart_disease
tfcluster reproduce --baselines --seeds 3 dec:keras:mice_protein
tfcluster reproduce --baselines --seeds 1 clustergan:mnist:start
tfcluster reproduce --baselines --seeds 3 clustergan:pendigits
