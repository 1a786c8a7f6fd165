import { expect, it } from 'vitest';
import { changeOf, creationOf, issuerOf, optionalUrl, providerName, valuesOf } from './providerValues';

const ORIGIN = 'https://manager.example';
const GIVEN = {
  ...valuesOf(null),
  name: 'github',
  clientId: 'id',
  clientSecret: 's',
  domains: 'a.example\n\nb.example ',
};

it('takes this console for the place to come back to, unless another is said', () => {
  expect(creationOf(GIVEN, ORIGIN)).toEqual({
    name: 'github',
    bio: '',
    client_id: 'id',
    client_secret: 's',
    redirect_url: 'https://manager.example/api/v1/users/signin/github/callback',
    domains: ['a.example', 'b.example'],
  });
  const elsewhere = { ...GIVEN, name: 'own', issuer: 'https://id.example', redirectUrl: 'https://x/y' };
  expect(creationOf(elsewhere, ORIGIN)).toMatchObject({ issuer: 'https://id.example', redirect_url: 'https://x/y' });
});

it('leaves a secret that is not typed as it is, and where the provider is', () => {
  const change = changeOf({ ...GIVEN, clientSecret: '', issuer: 'https://id.example' }, ORIGIN);
  expect(Object.keys(change)).toEqual(['bio', 'client_id', 'redirect_url', 'domains']);
  expect(changeOf(GIVEN, ORIGIN).client_secret).toBe('s');
});

it('knows where two providers are and is to be told of any other', () => {
  expect([issuerOf('github')(''), issuerOf('google')(''), issuerOf('own')('https://id.example')]).toEqual([
    null,
    null,
    null,
  ]);
  expect([issuerOf('own')(''), issuerOf('github')('ftp://x'), optionalUrl('https://')]).not.toContain(null);
  expect([providerName('a-1'), providerName('A'), providerName('-a'), providerName('')].map(Boolean)).toEqual([
    false,
    true,
    true,
    true,
  ]);
});
