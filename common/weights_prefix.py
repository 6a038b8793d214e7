"""How a blob of weights begins, for those who read its version without torch."""

import struct

VERSION = struct.Struct(">q")
"""Param version, signed as everywhere: -1 stands for no weights."""
