"""Object storage: uploads that are verified, conditional writes, and translated errors."""
