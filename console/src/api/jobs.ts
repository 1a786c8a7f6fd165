import { keepPreviousData, queryOptions } from '@tanstack/react-query';
import { api, type Schemas } from './client';
import { LIVE } from './live';
import { data, page, type PageQuery } from './page';

export type Job = Schemas['Job'];
export type JobType = Schemas['JobType'];
export type JobState = Schemas['JobState'];
export type JobProgress = Schemas['JobProgress'];
export type JobTarget = Schemas['JobTarget'];
export type TargetState = Schemas['TargetState'];
export type PreheatArgs = Schemas['PreheatArgs'];
export type TaskArgs = Schemas['TaskArgs'];

export const JOBS = 'jobs';

export function jobList(query: PageQuery & { type?: JobType; state?: JobState }) {
  return queryOptions({
    queryKey: [JOBS, query],
    queryFn: () => page(api.GET('/api/v1/jobs', { params: { query } })),
    placeholderData: keepPreviousData,
    ...LIVE,
  });
}

/** Its changes come by push, see `useJob`. */
export function job(id: number) {
  return queryOptions({
    queryKey: [JOBS, id],
    queryFn: () => data(api.GET('/api/v1/jobs/{id}', { params: { path: { id } } })),
  });
}

export function targetList(id: number, query: PageQuery & { state?: TargetState }) {
  return queryOptions({
    queryKey: [JOBS, id, 'targets', query],
    queryFn: () => page(api.GET('/api/v1/jobs/{id}/targets', { params: { path: { id }, query } })),
    placeholderData: keepPreviousData,
  });
}

export function createJob(body: Schemas['CreateJob']) {
  return data(api.POST('/api/v1/jobs', { body }));
}

export function cancelJob(id: number) {
  return data(api.POST('/api/v1/jobs/{id}/cancel', { params: { path: { id } } }));
}

export function retryJob(id: number, body: Schemas['RetryJob']) {
  return data(api.POST('/api/v1/jobs/{id}/retry', { params: { path: { id } }, body }));
}

export async function deleteJob(id: number): Promise<void> {
  await api.DELETE('/api/v1/jobs/{id}', { params: { path: { id } } });
}

/** A job itself is pending until it has ended. */
export function hasEnded(state: JobState): boolean {
  return state === 'SUCCESS' || state === 'FAILURE';
}
