// Where links lead.

const HERE = ['0.0.0.0', '[::]', '[::1]'];

/** Whether a link leads to the very computer that opens it, whichever that is. */
export function onlyHere(link) {
  const { hostname } = new URL(link);
  return HERE.includes(hostname) || /^127\.|(^|\.)localhost$/.test(hostname);
}
