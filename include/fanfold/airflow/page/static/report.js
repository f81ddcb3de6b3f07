// The run's report, a self-contained page, in a frame as high as its content.

import { html, useEffect, useRef, useState } from "./vendor/preact.js";
import { AirflowLink } from "./airflow.js";
import { address } from "./api.js";
import { useHere } from "./here.js";
import { Sign } from "./signs.js";
import { say } from "./text.js";

const MOST = 50_000; // pixels of height that a report may have

/** The height that the report in a frame reports, in pixels; null before. */
function useHeight(frame) {
  const [height, setHeight] = useState(null);
  useEffect(() => {
    // The report is in a sandbox without an origin, so its window is what tells it from others.
    const heard = ({ source, data }) => {
      if (source !== frame.current?.contentWindow || !Number.isFinite(data?.height)) return;
      setHeight(Math.min(data.height, MOST));
    };
    window.addEventListener("message", heard);
    return () => window.removeEventListener("message", heard);
  }, []);
  return height;
}

export function Report() {
  const { run, home, summary, active, stamp } = useHere();
  const frame = useRef(null);
  const height = useHeight(frame);
  if (!summary.report) {
    return html`<p class="absent">${say(active ? "report.not_yet" : "problem.no_report")}</p>`;
  }
  const report = address(`${home}/report`);
  return html`
    <div class="above">
      <h2>${say("report.title")}</h2>
      <div class="actions">
        <${AirflowLink} path=${report} blank class="button">${say("report.open")}<//>
        <${AirflowLink} path="${report}#print" blank class="button">${say("report.print")}<//>
        <a class="button" href=${report} download="${run}.html">
          <${Sign} name="down" />${say("files.download")}
        </a>
      </div>
    </div>
    <iframe
      key=${stamp}
      ref=${frame}
      class="report"
      style=${{ height: height && `${height}px` }}
      title=${say("report.title")}
      sandbox="allow-scripts allow-downloads"
      src=${report}
    />
  `;
}
