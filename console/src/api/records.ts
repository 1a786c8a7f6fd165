import { keepPreviousData, queryOptions } from '@tanstack/react-query';
import { api, type Schemas } from './client';
import { LIVE } from './live';
import { data, page, type PageQuery } from './page';

export type Audit = Schemas['Audit'];
export type Application = Schemas['Application'];
export type Setting = Schemas['Setting'];

export const APPLICATIONS = 'applications';
export const SETTINGS = 'configs';

export interface AuditFilter {
  actor_name?: string;
  object?: string;
  operation?: string;
  state?: Schemas['AuditState'];
}

export function auditList(query: PageQuery & AuditFilter) {
  return queryOptions({
    queryKey: ['audits', query],
    queryFn: () => page(api.GET('/api/v1/audits', { params: { query } })),
    placeholderData: keepPreviousData,
    ...LIVE,
  });
}

export function applicationList(query: PageQuery & { name?: string }) {
  return queryOptions({
    queryKey: [APPLICATIONS, query],
    queryFn: () => page(api.GET('/api/v1/applications', { params: { query } })),
    placeholderData: keepPreviousData,
    ...LIVE,
  });
}

export function createApplication(body: Schemas['CreateApplication']) {
  return data(api.POST('/api/v1/applications', { body }));
}

export function updateApplication(id: number, body: Schemas['UpdateApplication']) {
  return data(api.PATCH('/api/v1/applications/{id}', { params: { path: { id } }, body }));
}

export async function deleteApplication(id: number): Promise<void> {
  await api.DELETE('/api/v1/applications/{id}', { params: { path: { id } } });
}

export function settingList(query: PageQuery & { name?: string }) {
  return queryOptions({
    queryKey: [SETTINGS, query],
    queryFn: () => page(api.GET('/api/v1/configs', { params: { query } })),
    placeholderData: keepPreviousData,
    ...LIVE,
  });
}

export function createSetting(body: Schemas['CreateSetting']) {
  return data(api.POST('/api/v1/configs', { body }));
}

export function updateSetting(id: number, body: Schemas['UpdateSetting']) {
  return data(api.PATCH('/api/v1/configs/{id}', { params: { path: { id } }, body }));
}

export async function deleteSetting(id: number): Promise<void> {
  await api.DELETE('/api/v1/configs/{id}', { params: { path: { id } } });
}
