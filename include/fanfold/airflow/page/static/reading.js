// How to read a table outside of the page: pandas, SQL on its file, and the warehouse.

import { html } from "./vendor/preact.js";
import { useHere } from "./here.js";
import { usePolled } from "./polling.js";
import { say } from "./text.js";

/** `table`: its name; nothing if it was not published. */
export function Reading({ table }) {
  const { home, stamp } = useHere();
  const files = usePolled(`${home}/files`, { stamp }).data;
  const file = files?.files.find((each) => each.table === table && each.format === "parquet");
  if (!files?.published || !file) return null;
  const uri = `${files.prefix}${file.name}`;
  return html`
    <details>
      <summary>${say("dataset.read")}</summary>
      <pre>${`import pandas as pd\npd.read_parquet("${uri}")`}</pre>
      <pre>${`-- DuckDB\nSELECT * FROM '${uri}'`}</pre>
    </details>
  `;
}
