"""A machine's network: its link, networks that machines share, published ports."""
