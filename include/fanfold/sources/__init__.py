"""Sources: the connectors that turn an item into a record, one file each."""
