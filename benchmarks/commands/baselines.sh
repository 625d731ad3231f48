#!/bin/sh
# scikit-learn's clusterings.
tfcluster reproduce --baselines --seeds 1
