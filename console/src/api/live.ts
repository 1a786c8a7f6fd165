/** Lists and states are looked at again while somebody sees them; a page in the background asks nothing. */
export const LIVE = { refetchInterval: 5000 } as const;
