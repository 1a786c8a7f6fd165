import { expect, it } from 'vitest';
import { patternLines, requestOf, valuesOf } from './applicationValues';

it('reads patterns with their priorities', () => {
  const values = { ...valuesOf(null), name: 'a', url: 'https://a', priority: 3, patterns: '^https://a b/ 20\nc  0' };
  expect(patternLines(values.patterns)).toBeNull();
  expect(requestOf(values).priority).toEqual({
    value: 3,
    urls: [
      { regex: '^https://a b/', value: 20 },
      { regex: 'c', value: 0 },
    ],
  });
});

it('names the line that has no priority within limits, or no pattern', () => {
  expect(patternLines('a 1\nb 21')?.values).toEqual({ line: 2 });
  expect(patternLines('a(  1')?.values).toEqual({ line: 1 });
});
