import { useTranslation } from 'react-i18next';
import type { Session } from '@/api/session';
import { Entrance } from './Entrance';
import { PasswordForm } from './PasswordForm';

/** All that a session by an initial password opens. */
export function FirstPassword({ session }: { session: Session }) {
  const { t } = useTranslation();
  return (
    <Entrance title={t('session.firstTitle')} text={t('session.firstText')}>
      <PasswordForm session={session} />
    </Entrance>
  );
}
