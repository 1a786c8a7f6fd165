import type { Schemas } from '@/api/client';
import type { Provider } from '@/api/providers';
import { lines } from '@/forms/lines';
import type { Rule } from '@/forms/problem';

/** An identity provider as a form holds it. */
export interface ProviderValues {
  name: string;
  bio: string;
  clientId: string;
  /** It goes in and never comes out; empty: it stays as it is. */
  clientSecret: string;
  issuer: string;
  redirectUrl: string;
  /** One a line. */
  domains: string;
}

export function valuesOf(provider: Provider | null): ProviderValues {
  return {
    name: provider?.name ?? '',
    bio: provider?.bio ?? '',
    clientId: provider?.client_id ?? '',
    clientSecret: '',
    issuer: provider?.issuer ?? '',
    redirectUrl: provider?.redirect_url ?? '',
    domains: (provider?.domains ?? []).join('\n'),
  };
}

/** Where a provider sends people back to, if nothing else is said: here. */
export function usualRedirect(origin: string, name: string): string {
  return `${origin}/api/v1/users/signin/${name || '…'}/callback`;
}

export function creationOf(values: ProviderValues, origin: string): Schemas['CreateOauth'] {
  const { name, issuer } = values;
  return { ...common(values, origin), name, client_secret: values.clientSecret, ...(issuer && { issuer }) };
}

export function changeOf(values: ProviderValues, origin: string): Schemas['UpdateOauth'] {
  const { clientSecret } = values;
  return { ...common(values, origin), ...(clientSecret && { client_secret: clientSecret }) };
}

function common({ name, bio, clientId, redirectUrl, domains }: ProviderValues, origin: string) {
  return {
    bio,
    client_id: clientId,
    redirect_url: redirectUrl || usualRedirect(origin, name),
    domains: lines(domains),
  };
}

export const providerName: Rule<string> = (name) =>
  /^[a-z0-9][a-z0-9-]{0,63}$/.test(name) ? null : { key: 'providers.badName' };

/** An address; it may be empty. */
export const optionalUrl: Rule<string> = (url) =>
  url === '' || /^https?:\/\/[^\s/]/.test(url) ? null : { key: 'providers.badUrl' };

/** Only of two is known where they are. */
export function issuerOf(name: string): Rule<string> {
  return (issuer) =>
    issuer === '' && !['github', 'google'].includes(name) ? { key: 'providers.needsIssuer' } : optionalUrl(issuer);
}
