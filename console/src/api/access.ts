import { keepPreviousData, queryOptions } from '@tanstack/react-query';
import { api, type Schemas } from './client';
import { LIVE } from './live';
import { data, page, type PageQuery } from './page';

export type User = Schemas['User'];
export type Token = Schemas['PersonalAccessToken'];
export type Permission = Schemas['Permission'];

export const USERS = 'users';
export const ROLES = 'roles';
export const TOKENS = 'personal-access-tokens';

export function userList(query: PageQuery & { name?: string; state?: Schemas['UserState'] }) {
  return queryOptions({
    queryKey: [USERS, query],
    queryFn: () => page(api.GET('/api/v1/users', { params: { query } })),
    placeholderData: keepPreviousData,
    ...LIVE,
  });
}

export function user(id: number) {
  return queryOptions({
    queryKey: [USERS, id],
    queryFn: () => data(api.GET('/api/v1/users/{id}', { params: { path: { id } } })),
    ...LIVE,
  });
}

export function userRoles(id: number) {
  return queryOptions({
    queryKey: [USERS, id, ROLES],
    queryFn: () => data(api.GET('/api/v1/users/{id}/roles', { params: { path: { id } } })),
    ...LIVE,
  });
}

export function userSessions(id: number) {
  return queryOptions({
    queryKey: [USERS, id, 'sessions'],
    queryFn: () => data(api.GET('/api/v1/users/{id}/sessions', { params: { path: { id } } })),
    ...LIVE,
  });
}

export function createUser(body: Schemas['CreateUser']) {
  return data(api.POST('/api/v1/users', { body }));
}

export function updateUser(id: number, body: Schemas['UpdateUser']) {
  return data(api.PATCH('/api/v1/users/{id}', { params: { path: { id } }, body }));
}

export async function deleteUser(id: number): Promise<void> {
  await api.DELETE('/api/v1/users/{id}', { params: { path: { id } } });
}

export async function grantRole(id: number, role: string): Promise<void> {
  await api.PUT('/api/v1/users/{id}/roles/{role}', { params: { path: { id, role } } });
}

export async function revokeRole(id: number, role: string): Promise<void> {
  await api.DELETE('/api/v1/users/{id}/roles/{role}', { params: { path: { id, role } } });
}

export async function endSession(id: number, session: string): Promise<void> {
  await api.DELETE('/api/v1/users/{id}/sessions/{session}', { params: { path: { id, session } } });
}

export const roleList = queryOptions({
  queryKey: [ROLES],
  queryFn: () => data(api.GET('/api/v1/roles')),
  ...LIVE,
});

/** Each right of a role as role, object and action. */
export function role(name: string) {
  return queryOptions({
    queryKey: [ROLES, name],
    queryFn: () => data(api.GET('/api/v1/roles/{role}', { params: { path: { role: name } } })),
    ...LIVE,
  });
}

export const permissionList = queryOptions({
  queryKey: ['permissions'],
  queryFn: () => data(api.GET('/api/v1/permissions')),
  staleTime: Infinity,
});

export async function createRole(body: Schemas['CreateRole']): Promise<void> {
  await api.POST('/api/v1/roles', { body });
}

export async function deleteRole(name: string): Promise<void> {
  await api.DELETE('/api/v1/roles/{role}', { params: { path: { role: name } } });
}

export async function permit(name: string, body: Permission): Promise<void> {
  await api.POST('/api/v1/roles/{role}/permissions', { params: { path: { role: name } }, body });
}

export async function forbid(name: string, body: Permission): Promise<void> {
  await api.DELETE('/api/v1/roles/{role}/permissions', { params: { path: { role: name } }, body });
}

export function tokenList(query: PageQuery & { user_id?: number }) {
  return queryOptions({
    queryKey: [TOKENS, query],
    queryFn: () => page(api.GET('/api/v1/personal-access-tokens', { params: { query } })),
    placeholderData: keepPreviousData,
    ...LIVE,
  });
}

export function createToken(body: Schemas['CreateToken']) {
  return data(api.POST('/api/v1/personal-access-tokens', { body }));
}

export function updateToken(id: number, body: Schemas['UpdateToken']) {
  return data(api.PATCH('/api/v1/personal-access-tokens/{id}', { params: { path: { id } }, body }));
}

export async function deleteToken(id: number): Promise<void> {
  await api.DELETE('/api/v1/personal-access-tokens/{id}', { params: { path: { id } } });
}
