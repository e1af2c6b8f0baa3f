"""The coursework desk: masters of problem sets become notebooks, archives, booklets and grades (`python -m desk`)."""
