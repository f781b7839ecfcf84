"""What a config may say: the table of keys, the config files, and the checks."""
