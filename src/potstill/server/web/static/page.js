// Keeps what is live fresh. Without it all pages work, and are loaded again by hand.
"use strict";

const EVERY_MS = 2000;

// A document that is loaded this way runs no script, and its parts are taken over as nodes, never as text.
function load(address, done) {
  const request = new XMLHttpRequest();
  request.open("GET", address);
  request.responseType = "document";
  request.onload = () => done(request.status === 200 ? request.response : null);
  request.onerror = () => done(null);
  request.send();
}

function refresh(old) {
  load(window.location.href, (fresh) => {
    const found = fresh && fresh.getElementById(old.id);
    if (!found) {
      window.setTimeout(refresh, EVERY_MS * 5, old);
      return;
    }
    const focused = document.activeElement && old.contains(document.activeElement) && document.activeElement.id;
    const isOpen = new Set([...old.querySelectorAll("details[open]")].map((each) => each.id));
    const taken = document.importNode(found, true);
    taken.querySelectorAll("details").forEach((each) => { each.open = isOpen.has(each.id); });
    old.replaceWith(taken);
    if (focused) {
      document.getElementById(focused)?.focus();
    }
    watch(taken);
  });
}

function watch(part) {
  if (part.hasAttribute("data-live")) {
    window.setTimeout(refresh, EVERY_MS, part);
  }
}

document.querySelectorAll("[data-live]").forEach(watch);
document.querySelectorAll("button[data-confirm]").forEach((button) => {
  button.addEventListener("click", (event) => {
    if (!window.confirm(button.dataset.confirm)) {
      event.preventDefault();
    }
  });
});
document.querySelectorAll("form[method=post]").forEach((form) => {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) {
      event.preventDefault();
    }
    form.dataset.sent = "yes";
  });
});
