"""The Vagrant machine: a whole VM, with a kernel of its own."""
