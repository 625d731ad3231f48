"""`tfcluster bench`: our training loops against the originals' ways and the machine's limit."""
