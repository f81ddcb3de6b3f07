// The files of the run: table, size, rows, checksum, and a download from the bucket or the workspace.

import { html, useEffect, useState } from "./vendor/preact.js";
import { address } from "./api.js";
import { bytes, count, NONE } from "./format.js";
import { useHere } from "./here.js";
import { Absent, Trouble } from "./notices.js";
import { usePolled } from "./polling.js";
import { Sign } from "./signs.js";
import { numeric, Table } from "./table.js";
import { say } from "./text.js";

const NOTE = 2_000; // milliseconds for which "copied" is shown

export function Files() {
  const { home, stamp } = useHere();
  const polled = usePolled(`${home}/files`, { stamp });
  const files = polled.data;
  const label = say("files.title");
  if (!files) return html`<h3>${label}</h3><${Absent} ...${polled} />`;
  const numbers = [numeric(say("col.rows")), numeric(say("col.size"))];
  const titles = [say("col.file"), say("col.table"), ...numbers, "SHA-256", say("col.download")];
  return html`
    <h3>${label}</h3>
    <${Trouble} ...${polled} />
    <p class="quiet wrap">
      ${say(files.published ? "files.published" : "files.not_published")}${" "}
      ${files.published && html`<code>${files.prefix}</code>`}
    </p>
    <${Table} label=${label} titles=${titles}>
      ${files.files.map(
        (file) => html`
          <tr key=${file.name}>
            <th scope="row"><bdi>${file.name}</bdi></th>
            <td><bdi>${file.table || NONE}</bdi></td>
            <td class="number">${count(file.rows)}</td>
            <td class="number" title=${say("files.bytes", { n: file.bytes })}>
              ${bytes(file.bytes)}
            </td>
            <td><${Checksum} file=${file} /></td>
            <td>
              <a
                href=${address(`${home}/files/${encodeURIComponent(file.name)}`)}
                aria-label=${say("about", { what: say("files.download"), which: file.name })}
                download
              >
                <${Sign} name="down" />${say("files.download")}
              </a>
            </td>
          </tr>
        `,
      )}
    <//>
  `;
}

function Checksum({ file }) {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return undefined;
    const timer = setTimeout(() => setCopied(false), NOTE);
    return () => clearTimeout(timer);
  }, [copied]);
  return html`
    <span class="checksum">
      <code>${file.sha256}</code>
      <button
        type="button"
        class="textual"
        aria-label=${say("about", { what: say("files.copy"), which: file.name })}
        onClick=${async () => setCopied(await copy(file.sha256))}
      >
        ${say("files.copy")}
      </button>
      <span role="status">${copied ? say("files.copied") : ""}</span>
    </span>
  `;
}

/** Copy a text; returns whether it succeeded. The Clipboard API is not allowed in the iframe. */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const focused = document.activeElement;
    const field = document.createElement("textarea");
    field.value = text;
    field.className = "unseen";
    document.body.append(field);
    field.select();
    const copied = document.execCommand("copy");
    field.remove();
    focused?.focus();
    return copied;
  }
}
