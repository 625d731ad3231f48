"""Runs the command line: `python -m tfcluster`."""

from tfcluster.cli.main import main

if __name__ == "__main__":
    main()
