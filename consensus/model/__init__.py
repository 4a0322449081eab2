"""What the cluster agrees about: frozen Structs, a file per noun. No I/O, no clock, no behaviour that changes state."""
