"""What life does to a program, done on purpose and counted: kills, full disks, bad pictures, hostile files, long runs.

`make test` does a little of each, `make faults` all of it, after which README.md here has the counts.
"""
