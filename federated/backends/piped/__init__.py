"""A backend in another process and environment, which answers rounds over a pipe."""
