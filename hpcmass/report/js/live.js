// The page of `hpcmass view`: asks the local server for new data, and draws them without a change of the view.
const POLL_MS = 2000;
const live = { version: byId("live").dataset.version, identity: byId("live").dataset.identity, pressed: false, asking: false };

function sayLive(text, state) {
  const host = byId("live");
  if (host.textContent !== text) host.textContent = text;
  host.dataset.state = state;
}

// Replace the numbers and curves by newer ones of the same grid, models and statistics.
function takeIn(fresh) {
  fresh.data.statistics.forEach((statistic, k) => Object.assign(data.statistics[k], statistic));
  delete fresh.data.statistics;
  Object.assign(data, fresh.data);
  numbers = new Float64Array(bytesOf(fresh.numbers).buffer);
  for (const [lines, newer] of [[fresh.traces, newTraces], [fresh.spectra, newSpectra]]) {
    for (const [flat, line] of lines) newer.set(flat, line);
  }
  remembered.clear();
  if (!location.hash) state.point = [...data.initial.point];
}

// The answer and the tables come as HTML; what the reader has opened stays open.
function takeInText(html) {
  const page = new DOMParser().parseFromString(html, "text/html");
  for (const id of ["answer", "regions", "failures", "provenance"]) {
    const [old, made] = [byId(id), page.getElementById(id)].map((found) => found && found.closest("section"));
    if (!old || !made || old.innerHTML === made.innerHTML) continue;
    const opened = [...old.querySelectorAll("details")].map((each) => each.open);
    const fresh = [...made.querySelectorAll("details")];
    if (fresh.length === opened.length) fresh.forEach((each, k) => { each.open = opened[k]; });
    if (old.innerHTML === made.innerHTML) continue;
    const focused = [...old.querySelectorAll("summary")].indexOf(document.activeElement);
    old.replaceChildren(...made.childNodes);
    if (focused >= 0) old.querySelectorAll("summary")[focused]?.focus({ preventScroll: true });
  }
}

function drawAgain() {
  const pointed = hovered;
  settle();
  renderAll();
  hovered = null;
  if (pointed) enter(pointed);
}

async function askLive() {
  if (live.asking || live.pressed || document.hidden) return;
  live.asking = true;
  const fresh = await fetch(`update?since=${live.version}&of=${live.identity}`, { cache: "no-store" })
    .then((answer) => (answer.ok ? answer.json() : null))
    .catch(() => null);
  live.asking = false;
  if (!fresh) {
    sayLive("The viewer has ended; this page shows what it read last.", "gone");
  } else if (fresh.identity !== live.identity) {
    location.reload();
  } else {
    if (fresh.data && !live.pressed) {
      takeIn(fresh);
      takeInText(fresh.html);
      drawAgain();
      live.version = fresh.version;
    }
    sayLive(fresh.note, fresh.state);
  }
}

addEventListener("pointerdown", () => { live.pressed = true; });
for (const name of ["pointerup", "pointercancel"]) addEventListener(name, () => { live.pressed = false; });
addEventListener("visibilitychange", askLive);
setInterval(askLive, POLL_MS);
askLive();
