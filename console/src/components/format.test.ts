import { expect, it } from 'vitest';
import { bytes, distance, duration, percent } from './format';

it('shows bytes in the unit that suits them', () => {
  expect([0, 1023, 1024, 1536, 100 * 1024, 64 * 1024 ** 2].map(bytes)).toEqual([
    '0 B',
    '1023 B',
    '1.0 KiB',
    '1.5 KiB',
    '100 KiB',
    '64.0 MiB',
  ]);
});

it('says how far away a moment is', () => {
  const now = new Date('2026-01-02T00:00:00Z');
  expect(distance(new Date('2026-01-01T23:59:50Z'), now, 'en')).toBe('10 seconds ago');
  expect(distance(new Date('2026-01-02T02:30:00Z'), now, 'en')).toBe('in 2 hours');
  expect(distance(now, now, 'en')).toBe('now');
});

it('counts nothing of nothing as nothing', () => {
  expect(percent(0, 0)).toBe(0);
  expect(percent(1, 3)).toBe(33);
});

it('shows durations in the unit that suits them', () => {
  expect(
    [0, 999, 1000, 12_345, 999_400, 999_600, 2_345_678, 59_949_999, 59_950_000, 125_000_000].map(duration),
  ).toEqual(['0 µs', '999 µs', '1.00 ms', '12.3 ms', '999 ms', '1.00 s', '2.35 s', '59.9 s', '1 min 0 s', '2 min 5 s']);
});
