"""All notebooks without a reader: one run, a batch of runs, their comparison and the report."""
