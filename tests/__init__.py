"""Two trees of tests: `unit`, a package, and `integration`, whose files are modules of their own."""
