"""Read-only queries of a run's workspace, for the run page.

| module | returns |
|---|---|
| ``item_counts`` | items by outcome and rows, of each batch and of the run |
| ``items`` | one item: its outcomes, records, rows and rejected rows |
| ``failures`` | the items that are not ``ok`` and the rejected rows, by reason and one by one |
| ``dataset`` | columns and rows of the dataset or a fold |
| ``redrive`` | what a redrive would fetch again, and its cost in requests |

Each query reads as little as it can: small files for numbers that are polled every two seconds, the
parts of one batch for one item, a row group for a page of rows.
"""
