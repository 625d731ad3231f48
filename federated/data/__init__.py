"""Who has which samples: partitions, folders of files, and the clients' store."""
