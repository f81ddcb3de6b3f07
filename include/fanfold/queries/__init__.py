"""Read-only queries of a run's workspace, for the run page.

| module | returns |
|---|---|
| ``item_counts`` | items by outcome and rows, of each batch and of the run |
| ``items`` | one item: its outcomes, records, rows and rejected rows |
| ``suggestions`` | items that fit what a user types: key, label and outcome |
| ``item_history`` | one item in the runs of the DAG |
| ``failures`` | the items that are not ``ok`` and the rejected rows, by reason and one by one |
| ``dataset`` | columns and rows of the dataset or a fold |
| ``selection`` | its rows sorted and filtered; by DuckDB |
| ``columns`` | its columns with their values; by DuckDB |
| ``comparison`` | differences between the datasets of two runs; by DuckDB |
| ``redrive`` | what a redrive would fetch again, and its cost in requests |

Each query reads as little as it can: small files for numbers that are polled every two seconds, the
parts of one batch for one item, a row group for a page of rows.
"""
