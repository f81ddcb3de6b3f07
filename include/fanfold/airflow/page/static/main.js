// Entry point of both pages; the last segment of the URL selects the page.

import { html, render, useErrorBoundary } from "./vendor/preact.js";
import { language, say } from "./text.js";
import { followTheme } from "./theme.js";
import { Pipelines } from "./pipelines.js";
import { Run } from "./run.js";

/** Shows an error message instead of a blank page if rendering fails. */
function Guarded({ children }) {
  const [error] = useErrorBoundary((problem) => console.error(problem));
  if (!error) return children;
  return html`
    <h1>Fanfold</h1>
    <p class="banner bad" role="alert">${say("page.broken", { detail: String(error) })}</p>
  `;
}

function Page() {
  if (location.pathname.split("/").pop() === "pipelines") return html`<${Pipelines} />`;
  const asked = new URLSearchParams(location.search);
  return html`<${Run} dag=${asked.get("dag_id") ?? ""} run=${asked.get("run_id") ?? ""} />`;
}

document.documentElement.lang = language;
followTheme();
render(html`<${Guarded}><${Page} /><//>`, document.getElementById("page"));
