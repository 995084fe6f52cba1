from argparse import ArgumentTypeError

import pytest

from edge_detector.cli.argument_types import port


@pytest.mark.parametrize("text", ["0", "8080", "65535"])
def test_a_port_is_a_number_of_16_bits(text: str) -> None:
    assert port(text) == int(text)


@pytest.mark.parametrize("text", ["-1", "65536", "http", "", "8080.0"])
def test_anything_else_is_no_port(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="is not a port"):
        port(text)
