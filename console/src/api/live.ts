/** Whether the manager tells of changes at this moment. While it does not, lists and states are looked at again and again. */
let isTold = false;
const watchers = new Set<() => void>();

export const told = {
  get: () => isTold,
  set: (value: boolean) => {
    isTold = value;
    watchers.forEach((watcher) => watcher());
  },
  subscribe: (watcher: () => void) => {
    watchers.add(watcher);
    return () => watchers.delete(watcher);
  },
};

/** Between two looks at what nobody tells of. */
export const POLL = 5000;
/** Between two looks at what is told: what no row says, such as a last sign of life, changes, too. */
const SELDOM = 60_000;

/** Looked at again while somebody sees it; a page in the background asks nothing. */
export const LIVE = { refetchInterval: () => (isTold ? SELDOM : POLL) } as const;
