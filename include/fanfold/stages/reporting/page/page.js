// The reader's language at load; the two switches work without this script.
(() => {
  const switches = [...document.querySelectorAll(".switch")];
  const show = (input) => {
    input.checked = true;
    document.documentElement.lang = input.value;
    document.title = input.dataset.title;
  };
  const wanted = (navigator.languages?.length ? navigator.languages : [navigator.language || "en"])
    .map((tag) => tag.slice(0, 2).toLowerCase())
    .find((tag) => tag === "zh" || tag === "en");
  show(document.getElementById(wanted === "zh" ? "language-zh" : "language-en"));
  for (const input of switches) input.addEventListener("change", () => show(input));
})();
