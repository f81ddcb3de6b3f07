// Links from the iframe to Airflow's own pages.

import { html } from "./vendor/preact.js";

const root = new URL("../", document.baseURI);

/** The parent document of Airflow; null if the page is not in its iframe. */
export function parentDocument() {
  if (window.parent === window) return null;
  try {
    return window.parent.document;
  } catch {
    return null; // A page of another origin, which the browser does not let us read.
  }
}

const joined = (...segments) => segments.map(encodeURIComponent).join("/");

export const dagPath = (dag) => `dags/${joined(dag)}`;
export const runPath = (dag, run) => `dags/${joined(dag)}/runs/${joined(run)}`;
export const itemsPath = (dag, run) => `${runPath(dag, run)}/plugin/fanfold-items`;
export const taskPath = (dag, run, task) => `${runPath(dag, run)}/tasks/${joined(task)}`;
export const mappedPath = (dag, run, task) => `${taskPath(dag, run, task)}/mapped`;
export const logPath = (dag, run, task, index) => `${mappedPath(dag, run, task)}/${index}`;
export const questionPath = (dag, run) => `${taskPath(dag, run, "approval")}/required_actions`;
export const connectionPath = (id) => `connections?name_pattern=${encodeURIComponent(id)}`;

/**
 * A link to a page of Airflow, given as its path below Airflow's root; `blank`: always in a new window.
 *
 * The sandbox of the iframe blocks navigation of the parent and new windows. So a copy of the link is
 * added to the parent document, outside of the sandbox, and clicked.
 */
export function AirflowLink({ path, blank = false, children, ...rest }) {
  const href = new URL(path, root).href;
  const follow = (event) => {
    const parent = parentDocument();
    if (!parent || (event.type === "auxclick" && event.button !== 1)) return;
    event.preventDefault();
    const twin = parent.createElement("a");
    twin.href = href;
    twin.hidden = true;
    if (blank || event.ctrlKey || event.metaKey || event.shiftKey || event.button === 1) {
      twin.target = "_blank";
      twin.rel = "noopener";
    }
    parent.body.append(twin);
    twin.click();
    twin.remove();
  };
  const target = blank ? { target: "_blank", rel: "noopener" } : {};
  return html`
    <a ...${rest} ...${target} href=${href} onClick=${follow} onAuxClick=${follow}>${children}</a>
  `;
}
