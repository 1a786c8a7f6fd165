import { expect, it } from 'vitest';
import type { Session } from '@/api/session';
import { may } from './session';

function session(permissions: Session['permissions']): Session {
  return { user_id: 1, user_name: 'somebody', password_change_required: false, permissions };
}

it('permits what a role permits, and nothing else', () => {
  const guest = session([{ object: 'clusters', action: 'read' }]);
  expect(may(guest, 'read', 'clusters')).toBe(true);
  expect(may(guest, 'change', 'clusters')).toBe(false);
  expect(may(guest, 'read', 'jobs')).toBe(false);
});

it('takes a right to change as a right to look, and that to everything as that to each', () => {
  const root = session([{ object: '*', action: '*' }]);
  expect(may(root, 'read', 'audits') && may(root, 'change', 'users')).toBe(true);
});
