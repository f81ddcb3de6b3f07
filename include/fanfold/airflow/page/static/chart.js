// Duration and rows of a pipeline's recent runs, over time.

import { html, useEffect, useRef } from "./vendor/preact.js";
import { count, duration } from "./format.js";
import { language, say } from "./text.js";
import { onTheme } from "./theme.js";

const HEIGHT = 180; // pixels
// Possible distances of the ticks on the duration axis, in seconds: round numbers of its unit.
const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400];
// Seconds.
const MINUTE = 60;
const DAY = 86_400;
const days = new Intl.DateTimeFormat(language, { month: "short", day: "numeric" });
const hours = new Intl.DateTimeFormat(language, { timeStyle: "short" });
const seconds = new Intl.DateTimeFormat(language, { timeStyle: "medium" });

/** Load the chart library and its style sheet once; the run's page does not need them. */
let loading = null;
function library() {
  loading ??= new Promise((done, fail) => {
    const sheet = document.createElement("link");
    sheet.rel = "stylesheet";
    sheet.href = new URL("./vendor/uplot.css", import.meta.url).href;
    document.head.append(sheet);
    import("./vendor/uplot.js").then((module) => done(module.default), fail);
  });
  return loading;
}

/**
 * Runs as uPlot data: seconds since 1970, durations in seconds, rows. They are ordered by start time,
 * which may differ from the order of their logical dates.
 */
function columns(runs) {
  const dated = runs
    .filter((run) => run.started_at)
    .sort((one, other) => Date.parse(one.started_at) - Date.parse(other.started_at));
  return [
    dated.map((run) => Date.parse(run.started_at) / 1000),
    dated.map((run) => run.seconds),
    dated.map((run) => run.rows),
  ];
}

/** Tick labels of the time axis: days, or times of day if the ticks are closer. */
function moments(_, ticks, __, ___, step) {
  const format = step < MINUTE ? seconds : step < DAY ? hours : days;
  return ticks.map((tick) => format.format(new Date(tick * 1000)));
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function options(width) {
  const axis = { stroke: colour("--fg-muted"), grid: { stroke: colour("--border"), width: 1 } };
  const series = { width: 2, spanGaps: true, points: { show: true, size: 6 } };
  const fromZero = (_, __, most) => [0, (most || 1) * 1.1];
  return {
    width,
    height: HEIGHT,
    legend: { live: false, show: false },
    cursor: { drag: { x: false, y: false } },
    scales: { seconds: { range: fromZero }, rows: { range: fromZero } },
    axes: [
      { ...axis, values: moments, space: 90 },
      {
        ...axis,
        scale: "seconds",
        size: 80,
        incrs: STEPS,
        values: (_, ticks) => ticks.map(duration),
      },
      {
        ...axis,
        scale: "rows",
        side: 1,
        size: 76,
        grid: { show: false },
        values: (_, ticks) => ticks.map(count),
      },
    ],
    series: [
      {},
      { ...series, scale: "seconds", stroke: colour("--chart-duration") },
      { ...series, scale: "rows", stroke: colour("--chart-rows"), dash: [6, 4] },
    ],
  };
}

export function Chart({ runs, name }) {
  const place = useRef(null);
  const plot = useRef(null);
  const data = useRef(null);
  data.current = columns(runs);

  useEffect(() => {
    let gone = false;
    let Plot = null;
    const draw = () => {
      if (gone || !Plot) return;
      plot.current?.destroy();
      plot.current = new Plot(options(place.current.clientWidth), data.current, place.current);
    };
    const resized = new ResizeObserver(() => {
      const width = place.current.clientWidth;
      if (plot.current && width > 0) plot.current.setSize({ width, height: HEIGHT });
    });
    resized.observe(place.current);
    const forget = onTheme(draw);
    library().then((found) => {
      Plot = found;
      draw();
    });
    return () => {
      gone = true;
      resized.disconnect();
      forget();
      plot.current?.destroy();
    };
  }, []);

  useEffect(() => plot.current?.setData(data.current), [runs]);

  return html`
    <figure class="chart">
      <figcaption>
        <span class="line of-duration">${say("chart.duration")}</span>
        <span class="line of-rows">${say("chart.rows")}</span>
      </figcaption>
      <div ref=${place} role="img" aria-label=${say("chart.label", { name, n: runs.length })} />
    </figure>
  `;
}
