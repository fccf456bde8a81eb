"""A shop's own program on top of ddsim: nothing runs it, type checkers read it as they read other people's code."""
