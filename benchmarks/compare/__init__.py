"""`tfcluster compare`: backends and procedures side by side, and the report of what was measured.

`measure_*.py` are single measurements with a command line of their own, for the README.
"""
