def charts(prefix=""): return []
