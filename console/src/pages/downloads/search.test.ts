import { expect, it } from 'vitest';
import { asTold, optionalDuration, paramsOf, searchOf, tagLines, valuesIn } from './search';

it('is the same when it comes back from the address', () => {
  const params = new URLSearchParams(
    'url=/a&node=n1&tags=error%3Dtrue&tags=x%3Dy%3Dz&shortest=1.5s&since=3600&limit=100',
  );
  const values = valuesIn(params);
  expect(values).toMatchObject({
    url: '/a',
    node: 'n1',
    tags: 'error=true\nx=y=z',
    shortest: '1.5s',
    since: '3600',
    limit: '100',
  });
  expect(new Set(paramsOf(values))).toEqual(new Set(params));
  expect(paramsOf(valuesIn(new URLSearchParams('since=7&limit=8'))).toString()).toBe('');
});

it('asks for what is said and for nothing else', () => {
  const values = valuesIn(new URLSearchParams());
  expect(searchOf(values)).toEqual({ service: 'dragonfly-dfget', limit: 20 });
  const said = { ...values, url: ' /v2/a?ns=b&token=c ', node: 'n1 ', tags: 'a = b=c', longest: '2s', since: '900' };
  expect(searchOf(said)).toEqual({
    service: 'dragonfly-dfget',
    limit: 20,
    tags: JSON.stringify({ a: 'b=c', 'http.url': '/v2/a?ns=b', 'host.name': 'n1' }),
    maxDuration: '2s',
    since: 900,
  });
});

it('looks for a URL as traces have it, without what may be a secret', () => {
  const told = [
    ['/v2/a/blobs/sha256:82?ns=ghcr.io', '/v2/a/blobs/sha256:82?ns=ghcr.io'],
    ['http://u:pw@o.example:81/a?sig=s3cret', 'http://o.example:81/a'],
    ['/v2/a/manifests/1?token=t&ns=h:5000', '/v2/a/manifests/1?ns=h:5000'],
    ['https://o.example/a#b', 'https://o.example/a'],
    ['/a@b', '/a@b'],
  ];
  for (const [typed = '', found] of told) {
    expect(asTold(typed)).toBe(found);
  }
});

it('names the line that is no tag, and what is no duration', () => {
  expect(tagLines('a=b\n\nnothing')?.values).toEqual({ line: 3 });
  expect(tagLines('=b')?.values).toEqual({ line: 1 });
  expect(tagLines('')).toBeNull();
  expect(['', '100ms', '1.5s', ' 2m '].map(optionalDuration)).toEqual([null, null, null, null]);
  expect(['-1s', '5', 'soon'].every((text) => optionalDuration(text) !== null)).toBe(true);
});
