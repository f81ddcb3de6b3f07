"""The run's folder in the shared directory, and what the stages keep there."""
