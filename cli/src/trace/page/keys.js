addEventListener("keydown", (event) => {
  const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const here = document.activeElement;
  if (!by || !here.classList.contains("step")) return;
  const steps = [...document.querySelectorAll(".step")].sort((a, b) => a.offsetTop - b.offsetTop);
  const next = steps[steps.indexOf(here) + by];
  if (next) {
    event.preventDefault();
    next.focus();
  }
});
