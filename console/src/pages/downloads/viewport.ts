/** Where the keyboard goes in a list. */
export type Move = 'before' | 'after' | 'pageBefore' | 'pageAfter' | 'first' | 'last';

/** Lines above and below those that can be seen, so that none is missed while scrolling. */
const MARGIN = 10;

/** Which lines, from the first and before the last, are to be in the page. */
export function shownOf({ top, height, line, count }: { top: number; height: number; line: number; count: number }) {
  const first = Math.max(0, Math.min(Math.floor(top / line), count) - MARGIN);
  const last = Math.min(count, Math.ceil((top + height) / line) + MARGIN);
  return { first, last };
}

/** The line to which a move leads; it stays within the list. */
export function moved(move: Move, at: number, count: number, page: number): number {
  const steps = { before: -1, after: 1, pageBefore: -page, pageAfter: page, first: -Infinity, last: Infinity };
  return Math.max(0, Math.min(at + steps[move], count - 1));
}
