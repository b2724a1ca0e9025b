"""What is shown: charts, photos with masks on them, and the anatomy of a net."""
