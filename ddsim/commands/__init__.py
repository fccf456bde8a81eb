"""The commands: each a thin file that parses, calls the library and prints."""
