"""Speed and memory beside the textbook way: `make bench`."""
