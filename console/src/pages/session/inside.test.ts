import { expect, it } from 'vitest';
import { inside } from './inside';

it('goes to pages of the console only', () => {
  expect(inside('/jobs/7?page=2')).toBe('/jobs/7?page=2');
  for (const elsewhere of [
    null,
    '',
    'https://evil.example',
    '//evil.example',
    '/\\evil.example',
    'javascript:alert(1)',
  ]) {
    expect(inside(elsewhere)).toBe('/clusters');
  }
});
