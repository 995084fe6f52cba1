"""Questions that were answered by measuring, each a program that measures it again."""
