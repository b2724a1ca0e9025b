"""One training or one search in several processes, or on several machines; and alone, where that is what is asked."""

import carvana_course.pretrained  # noqa: F401  with it, start_from may name a net from elsewhere
