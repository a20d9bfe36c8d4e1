"""The only part of the hub that faces the internet: verify, store, answer; nothing else."""
