"""Any Singer tap, run as a program of its own."""
