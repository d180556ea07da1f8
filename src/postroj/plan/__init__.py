"""Plans: what is to be tested where, from a file, the environment and the command line, as cells with stable names."""
