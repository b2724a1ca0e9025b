"""One training or one search in several processes, or on several machines."""
