"use strict";
(() => {
  const frames = [...document.querySelectorAll(".frame")];
  const scenes = [...document.querySelectorAll(".stage > svg")];
  const play = document.getElementById("play");
  const slider = document.getElementById("place");
  const count = document.getElementById("count");
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  let place = 0;
  let timer = 0;

  function show(number) {
    place = (number + frames.length) % frames.length;
    frames.forEach((frame, i) => frame.toggleAttribute("hidden", i !== place));
    const scene = frames[place].closest("svg");
    scenes.forEach((svg) => svg.toggleAttribute("hidden", svg !== scene));
    slider.value = place;
    count.textContent = count.dataset.text.replace("@n", place + 1).replace("@m", frames.length);
  }

  function run(on) {
    clearInterval(timer);
    timer = on ? setInterval(() => show(place + 1), Number(document.querySelector(".stage svg").dataset.time)) : 0;
    play.textContent = on ? play.dataset.pause : play.dataset.play;
    play.setAttribute("aria-pressed", String(on));
  }

  function step(by) {
    run(false);
    show(place + by);
  }

  play.addEventListener("click", () => run(!timer));
  document.getElementById("back").addEventListener("click", () => step(-1));
  document.getElementById("forward").addEventListener("click", () => step(1));
  slider.addEventListener("input", () => { run(false); show(Number(slider.value)); });
  document.addEventListener("keydown", (event) => {
    if (event.target === slider || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === " " && event.target.tagName !== "BUTTON") run(!timer);
    else if (event.key === "ArrowRight") step(1);
    else if (event.key === "ArrowLeft") step(-1);
    else return;
    event.preventDefault();
  });
  show(0);
  run(!still);
})();
