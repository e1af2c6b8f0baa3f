"""A small problem set and a made-up class, for the tests of the grading desk."""
