"""The papers' tables beside what this code reaches: `tfcluster reproduce`."""
