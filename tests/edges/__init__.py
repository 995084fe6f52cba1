"""What the edges owe: real files, a real sound server, real devices as far as a machine without any can have them."""
