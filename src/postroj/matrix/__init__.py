"""Many cells at once: `postroj test`."""
