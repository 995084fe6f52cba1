"""What hearing costs on a Raspberry Pi's processor, in instructions, without a Pi."""
