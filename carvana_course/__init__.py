"""What a course needs around the library: its command line, figures, exercises, deployment, evidence and upkeep.

It imports `carvana_lib`, which never imports it: what a learner reads does not depend on what teachers use.
"""
