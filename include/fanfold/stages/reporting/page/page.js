// Switches the language and draws the charts of the language that is shown, in the page's colours.
(() => {
  const page = JSON.parse(document.getElementById("data").textContent);
  const root = document.documentElement;
  const switches = [...document.querySelectorAll(".switch")];
  const tip = document.getElementById("tip");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let language = "en";
  let views = [];

  const chinese = { decimal: ".", thousands: ",", grouping: [3], currency: ["¥", ""] };
  const week = [..."日一二三四五六"];
  const months = Array.from({ length: 12 }, (_, month) => `${month + 1}月`);
  const chineseTime = {
    dateTime: "%Y年%-m月%-d日 %X", date: "%Y年%-m月%-d日", time: "%H:%M:%S", periods: ["上午", "下午"],
    days: week.map((day) => `星期${day}`), shortDays: week.map((day) => `周${day}`), months, shortMonths: months,
  };
  const times = () => (language === "zh" ? { locale: { number: chinese, time: chineseTime }, timeFormat: chineseTime.date } : {});

  // Numbers: 12,345.67 in a tooltip or table, 12.3K or 1.23万 on an axis.
  const tag = () => (language === "zh" ? "zh-CN" : "en-US");
  const full = (value) => {
    const digits = Math.abs(value) < 1 ? { maximumSignificantDigits: 3 } : { maximumFractionDigits: 2 };
    return new Intl.NumberFormat(tag(), digits).format(value);
  };
  const short = (value) =>
    Math.abs(value) < 10_000
      ? new Intl.NumberFormat(tag(), { maximumSignificantDigits: 4 }).format(value)
      : new Intl.NumberFormat(tag(), { notation: "compact", maximumSignificantDigits: 4 }).format(value);
  const percent = new Intl.NumberFormat("en-US", { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });
  const numeric = (format) => (value) => (typeof value === "number" ? format(value) : `${value ?? "–"}`);
  vega.expressionFunction("short", numeric(short));
  vega.expressionFunction("full", numeric(full));

  const element = (name, text, attributes = {}) => {
    const made = document.createElement(name);
    made.textContent = text;
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };

  // A text of the data is a text here, too: no markup.
  const tooltip = (_, event, __, value) => {
    tip.hidden = value === null || value === undefined || value === "";
    if (tip.hidden) return;
    const entries = typeof value === "object" ? Object.entries(value) : [["", value]];
    tip.replaceChildren(
      ...entries.flatMap(([name, text]) => [element("dt", name), element("dd", `${text ?? "–"}`, { dir: "auto" })]),
    );
    const { innerWidth, scrollX, scrollY } = window;
    const left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8);
    const below = event.clientY + 18;
    const top = below + tip.offsetHeight < window.innerHeight ? below : event.clientY - tip.offsetHeight - 10;
    tip.style.left = `${scrollX + Math.max(left, 4)}px`;
    tip.style.top = `${scrollY + top}px`;
  };

  const coloured = (value, styles) => {
    if (Array.isArray(value)) return value.map((each) => coloured(each, styles));
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, coloured(each, styles)]));
    }
    const name = typeof value === "string" && value.match(/^var\((--[\w-]+)\)$/)?.[1];
    return name ? styles.getPropertyValue(name).trim() : value;
  };

  /** The view of a chart; `more` are properties that replace those of its specification. */
  const viewOf = (chart, box, options, more = {}) => {
    const styles = getComputedStyle(root);
    const spec = coloured(chart.specs[language], styles);
    const values = chart.rows.map((row) => Object.fromEntries(row.map((value, place) => [chart.columns[place], value])));
    const config = { ...coloured(page.config, styles), ...times() };
    const complete = { ...spec, ...more, data: { ...spec.data, values }, datasets: { values: [chart.values] } };
    if (spec.facet && spec.columns && !spec.spec.width) {
      complete.spec = { ...spec.spec, width: (box.clientWidth - 80) / spec.columns - 20 };
    }
    if (spec.vconcat) {
      complete.vconcat = spec.vconcat.map((each) => ({ width: box.clientWidth - 70, ...each }));
    }
    const compiled = vegaLite.compile(complete, { config, logger: vega.logger(vega.Error) }).spec;
    const runtime = vega.parse(compiled, null, { ast: true });
    return new vega.View(runtime, { expr: interpreter, tooltip, renderer: "svg", ...options });
  };

  const draw = () => {
    views.forEach((view) => view.finalize());
    tip.hidden = true;
    views = [];
    for (const chart of page.charts) {
      const container = document.getElementById(`${chart.slug}-${language}`).querySelector(".chart");
      try {
        views.push(viewOf(chart, container, { container, hover: true }).run());
      } catch (error) {
        container.replaceChildren(element("p", `${page.broken[language]} ${error.message}`, { class: "broken" }));
      }
    }
  };

  const download = async (chart, form, button) => {
    const shown = button.closest("article").querySelector(".chart");
    const width = chart.specs[language].width === "container" ? { width: shown.clientWidth } : {};
    const title = { text: chart.title[language], subtitle: chart.finding[language] };
    const view = viewOf(chart, shown, { renderer: "none" }, { ...width, title });
    await view.runAsync();
    const href = await view.toImageURL(form, 2);
    view.finalize();
    element("a", "", { href, download: `${chart.file}.${form}` }).click();
  };

  const cell = (value, kind) => {
    if (value === null) return "–";
    if (kind === "share") return percent.format(value);
    if (kind === "number" && typeof value === "number") return full(value);
    if (kind === "time") return `${value}`.replace("T", " ");
    return typeof value === "object" ? JSON.stringify(value) : `${value}`;
  };
  const fill = (chart, details, shown) => {
    const table = details.querySelector("table");
    const classes = (kind) => (kind === "number" || kind === "share" ? { class: "figure" } : {});
    const line = (cells) => {
      const row = document.createElement("tr");
      row.append(...cells);
      return row;
    };
    const columns = chart.table[shown];
    const head = line(columns.map(([, title, kind]) => element("th", title, { scope: "col", ...classes(kind) })));
    const body = chart.rows.map((row) =>
      line(columns.map(([place, , kind]) => element("td", cell(row[place], kind), { dir: "auto", ...classes(kind) }))),
    );
    table.tHead.replaceChildren(head);
    table.tBodies[0].replaceChildren(...body);
  };

  for (const chart of page.charts) {
    for (const shown of ["en", "zh"]) {
      const article = document.getElementById(`${chart.slug}-${shown}`);
      const details = article.querySelector("details");
      details.addEventListener("toggle", () => details.open && fill(chart, details, shown), { once: true });
      for (const button of article.querySelectorAll("button")) {
        button.addEventListener("click", () => download(chart, button.dataset.form, button));
      }
    }
  }

  const show = (input) => {
    input.checked = true;
    root.lang = input.value;
    document.title = input.dataset.title;
    language = input.id.slice(-2);
    draw();
  };
  const wanted = (navigator.languages?.length ? navigator.languages : [navigator.language || "en"])
    .map((name) => name.slice(0, 2).toLowerCase())
    .find((name) => name === "zh" || name === "en");
  for (const input of switches) input.addEventListener("change", () => show(input));
  dark.addEventListener("change", draw);
  // Paper is light and narrow: charts are drawn again for its width.
  const paper = (on) => {
    root.classList.toggle("paper", on);
    draw();
  };
  addEventListener("beforeprint", () => paper(true));
  addEventListener("afterprint", () => paper(false));
  show(document.getElementById(wanted === "zh" ? "language-zh" : "language-en"));
})();
