// Delivers what the server sends `window.answersTakeMs` later, in order: a browser that lags behind its own clicks.
const listen = WebSocket.prototype.addEventListener;
WebSocket.prototype.addEventListener = function (type, listener, options) {
  if (type !== "message") return listen.call(this, type, listener, options);
  let last = Promise.resolve();
  return listen.call(this, type, (event) => {
    const due = performance.now() + (window.answersTakeMs || 0);
    const left = () => Math.max(0, due - performance.now());
    last = last.then(() => left() && new Promise((go) => setTimeout(go, left()))).then(() => listener.call(this, event));
  }, options);
};
