"""What a machine takes of the host, and gives back."""
