"""Object storage: verified uploads, small reads, and translated errors."""
