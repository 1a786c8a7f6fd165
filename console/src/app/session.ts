import { createContext, use } from 'react';
import type { Permission } from '@/api/access';
import type { Session } from '@/api/session';

export type ObjectKind = Permission['object'];

/** Who is signed in; there is always somebody below the gate. */
export const SessionContext = createContext<Session | null>(null);

export function useSession(): Session {
  const session = use(SessionContext);
  if (!session) {
    throw new Error('a page outside of the gate asks for the session');
  }
  return session;
}

/** Whether the roles of whoever is signed in permit something. The manager decides anew at each request. */
export function may(session: Session, action: 'read' | 'change', object: ObjectKind): boolean {
  return session.permissions.some(
    (right) => (right.object === '*' || right.object === object) && (right.action === '*' || action === 'read'),
  );
}

export function useMay(action: 'read' | 'change', object: ObjectKind): boolean {
  return may(useSession(), action, object);
}
