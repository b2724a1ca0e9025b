"""What is shown: charts, drawings, photos with masks on them, and the anatomy of a net."""
