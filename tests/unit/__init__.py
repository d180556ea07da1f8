"""Tests that need neither root nor the host's tools."""
