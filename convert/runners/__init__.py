"""Engines that carry out tasks on all cores or on several machines."""
