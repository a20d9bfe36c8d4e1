"""What a pull is compared with: the tool users would pick, and a script that only copies."""
