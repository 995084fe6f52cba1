"""A soundscape made by formulas, and a broker to send its events to."""
