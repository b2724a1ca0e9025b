"""A folder of anybody's photos and masks -> a folder in the course's layout, converted once."""
