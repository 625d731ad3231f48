"""`tfcluster bench`: our training loops compared with the originals' and the machine's limit."""
