"""Joins the stages. Knows protocols and the pure core, no outside library."""
