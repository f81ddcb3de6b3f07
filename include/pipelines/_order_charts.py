"""Charts of order analysis."""
CHARTS = []
