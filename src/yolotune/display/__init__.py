"""What is printed: a study while it runs, live or as lines; tables of results; the table that a notebook shows."""
