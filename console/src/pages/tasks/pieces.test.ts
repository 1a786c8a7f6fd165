import { expect, it } from 'vitest';
import { copies, held, runs, shares } from './pieces';

it('draws what is alike as one', () => {
  expect(runs(shares({ total: 5, held: [1, 1, 0, 0, 1] }))).toEqual([
    { from: 0, length: 2, share: 1 },
    { from: 2, length: 2, share: 0 },
    { from: 4, length: 1, share: 1 },
  ]);
  expect(runs([])).toEqual([]);
});

it('knows how many pieces a stretch has', () => {
  // Stretches of one, two and two pieces.
  const pieces = { total: 5, held: [1, 1, 2] };
  expect(shares(pieces)).toEqual([1, 0.5, 1]);
  expect(held(pieces)).toBe(4);
});

it('counts on how many hosts each stretch is whole', () => {
  const hosts = [
    { total: 3, held: [1, 1, 1] },
    { total: 3, held: [1, 0, 0] },
  ];
  expect(copies(hosts)).toEqual([2, 1, 1]);
  expect(copies([...hosts, { total: 4, held: [1, 1, 1, 1] }])).toBeUndefined();
  expect(copies([])).toBeUndefined();
});
