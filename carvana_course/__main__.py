"""python -m carvana_course: the same as the command `carvana`."""

from carvana_course.cli import main

main()
