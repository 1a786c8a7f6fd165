import { useTranslation } from 'react-i18next';
import type { Permission } from '@/api/access';

/** A right as a key. */
export function keyOf({ object, action }: Permission): string {
  return `${object} ${action}`;
}

/** Names rights for people. */
export function useRightName(): (right: Permission) => string {
  const { t } = useTranslation();
  return ({ object, action }) =>
    `${object === '*' ? t('roles.everything') : object} · ${t(action === '*' ? 'roles.change' : 'roles.read')}`;
}

/** A right as a role's page of the API has it: role, object and action. */
export function rightOf([, object, action]: string[]): Permission {
  return { object: object as Permission['object'], action: action as Permission['action'] };
}
