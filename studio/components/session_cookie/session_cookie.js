// Asks the studio's own server to set or clear the session cookie, then reloads: the address, and with it the deep
// link, stays. The cookie is HttpOnly, so only the server can touch it.
const handled = new WeakMap();

export default function ({ data, parentElement, setTriggerValue }) {
  if (handled.get(parentElement) === data.nonce) return;
  handled.set(parentElement, data.nonce);
  const refuse = (text) => setTriggerValue("refused", text);
  fetch(`/session/${data.action}`, {
    method: "POST",
    credentials: "same-origin",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(data.code ? { code: data.code } : {}),
  })
    .then(async (reply) => {
      if (reply.ok) window.location.reload();
      else refuse((await reply.json().catch(() => ({}))).detail ?? "Sign-in failed. Try again.");
    })
    .catch(() => refuse("The studio's server did not answer. Try again."));
}
