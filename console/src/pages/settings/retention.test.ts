import { expect, it } from 'vitest';
import { readRetention, writeRetention } from './retention';

it('reads what the manager writes, and writes what it reads', () => {
  const value = '{"audit":{"ttl":604800000000000},"job":{"ttl":21600000000000}}';
  expect(readRetention(value)).toEqual({ auditDays: 7, jobHours: 6 });
  expect(writeRetention({ auditDays: 7, jobHours: 6 })).toBe(value);
});

it('leaves alone what it does not understand', () => {
  expect(['', '1', '{}', '{"audit":{"ttl":"7d"},"job":{"ttl":1}}'].map(readRetention)).toEqual([
    null,
    null,
    null,
    null,
  ]);
});
