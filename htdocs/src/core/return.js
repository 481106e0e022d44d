// Coming back to the page, from another window or another tab.

/** Calls `act` each time. @returns {() => void} ends that */
export function onReturn(act) {
  const seen = () => document.visibilityState === 'visible' && act();
  addEventListener('focus', seen);
  document.addEventListener('visibilitychange', seen);
  return () => {
    removeEventListener('focus', seen);
    document.removeEventListener('visibilitychange', seen);
  };
}
