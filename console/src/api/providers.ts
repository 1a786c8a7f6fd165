import { keepPreviousData, queryOptions } from '@tanstack/react-query';
import { api, type Schemas } from './client';
import { LIVE } from './live';
import { data, page, type PageQuery } from './page';

export type Provider = Schemas['Oauth'];

export const PROVIDERS = 'oauth';

export function providerList(query: PageQuery & { name?: string }) {
  return queryOptions({
    queryKey: [PROVIDERS, query],
    queryFn: () => page(api.GET('/api/v1/oauth', { params: { query } })),
    placeholderData: keepPreviousData,
    ...LIVE,
  });
}

export function createProvider(body: Schemas['CreateOauth']) {
  return data(api.POST('/api/v1/oauth', { body }));
}

export function updateProvider(id: number, body: Schemas['UpdateOauth']) {
  return data(api.PATCH('/api/v1/oauth/{id}', { params: { path: { id } }, body }));
}

export async function deleteProvider(id: number): Promise<void> {
  await api.DELETE('/api/v1/oauth/{id}', { params: { path: { id } } });
}

/** By whom one may sign in, which anybody may ask. */
export const signInWays = queryOptions({
  queryKey: [PROVIDERS, 'ways'],
  queryFn: () => data(api.GET('/api/v1/users/signin')),
  staleTime: 60_000,
});
