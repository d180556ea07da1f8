"""Packages under test: what they are called, what they are, and how a guest's package manager installs them."""
