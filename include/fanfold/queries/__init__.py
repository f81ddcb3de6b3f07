"""What a person sees of a run, read from its workspace: nothing here writes.

| module | what it tells |
|---|---|
| ``tallies`` | items by what became of them, of each batch and of the run |
| ``items`` | one item: its outcomes, its record, its clean row |
| ``failed`` | the items that are not in the dataset, by reason and one by one |
| ``dataset`` | columns and rows of the dataset |
| ``redriving`` | what would be fetched again, and what that costs |

Each reads what it needs and no more: small files for numbers that are asked for every two seconds,
the parts of one batch for one item, a row group for some rows.
"""
