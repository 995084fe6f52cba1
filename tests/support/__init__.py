"""Stand-ins for the world around the program, made of real parts: a microphone without hardware, a broker of its own."""
