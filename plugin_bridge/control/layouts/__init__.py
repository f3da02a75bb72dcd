"""Layouts and pattern files for control surfaces and hosts, drawn from the one table of addresses."""
