import { expect, it } from 'vitest';
import { moved, shownOf } from './viewport';

it('keeps as many lines as can be seen, and some more, however many there are', () => {
  expect(shownOf({ top: 0, height: 440, line: 44, count: 5 })).toEqual({ first: 0, last: 5 });
  expect(shownOf({ top: 44_000, height: 440, line: 44, count: 100_000 })).toEqual({ first: 990, last: 1020 });
  // A list that has become shorter than where one had scrolled to.
  expect(shownOf({ top: 44_000, height: 440, line: 44, count: 3 })).toEqual({ first: 0, last: 3 });
});

it('goes no further than to the ends', () => {
  expect(moved('before', 0, 9, 4)).toBe(0);
  expect(moved('pageAfter', 6, 9, 4)).toBe(8);
  expect([moved('first', 5, 9, 4), moved('last', 5, 9, 4), moved('last', 0, 0, 4)]).toEqual([0, 8, 0]);
});
