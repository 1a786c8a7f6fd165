import { queryOptions } from '@tanstack/react-query';
import { api, type Schemas } from './client';
import { told } from './live';
import { data } from './page';

export type Session = Schemas['CurrentSession'];

export const SESSION = 'session';

/**
 * Looked at so often that a session which is ended elsewhere ends here within 5 seconds. While the manager tells of changes it
 * tells of that, too.
 */
export const currentSession = queryOptions({
  queryKey: [SESSION],
  queryFn: () => data(api.GET('/api/v1/session')),
  refetchInterval: () => (told.get() ? 60_000 : 4000),
  retry: false,
});

/** The answer's token is for scripts; here the cookie that came with it counts. */
export async function signIn(name: string, password: string): Promise<void> {
  await api.POST('/api/v1/users/signin', { body: { name, password } });
}

export async function signOut(): Promise<void> {
  await api.POST('/api/v1/users/signout');
}

/** Another password ends all sessions of the user; the new one opens one again for whoever has just given it. */
export async function changePassword(session: Session, old_password: string, new_password: string): Promise<void> {
  const path = { id: session.user_id };
  await api.POST('/api/v1/users/{id}/reset_password', { params: { path }, body: { old_password, new_password } });
  await signIn(session.user_name, new_password);
}
