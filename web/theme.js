// Runs before anything is painted, so that a chosen theme never flashes. Everything else about themes is in main.js.
(function () {
  // Nothing is shown until its words are there; without scripts everything is.
  document.documentElement.classList.add("scripted");
  try {
    const chosen = localStorage.getItem("theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch {
    // Storage may be forbidden; then the system's theme it is.
  }
})();
