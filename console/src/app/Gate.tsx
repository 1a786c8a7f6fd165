import { Center, Loader } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { Navigate, Outlet, useLocation } from 'react-router';
import { isSignedOut } from '@/api/refused';
import { currentSession } from '@/api/session';
import { Failure } from '@/components/Failure';
import { FirstPassword } from '@/pages/session/FirstPassword';
import { SessionContext } from './session';
import { Shell } from './Shell';

/** Before all pages: lets pass who has a session, once he has a password of his own. */
export function Gate() {
  const { t } = useTranslation();
  const { pathname, search } = useLocation();
  const query = useQuery(currentSession);
  if (isSignedOut(query.error)) {
    const next = encodeURIComponent(pathname + search);
    return <Navigate to={`/signin?next=${next}`} replace state={{ ended: query.data !== undefined }} />;
  }
  if (!query.data) {
    return (
      <Center component="main" h="100vh" p="md">
        {query.error ? (
          <Failure error={query.error} onRetry={() => void query.refetch()} />
        ) : (
          <Loader aria-label={t('common.loading')} />
        )}
      </Center>
    );
  }
  if (query.data.password_change_required) {
    return <FirstPassword session={query.data} />;
  }
  return (
    <SessionContext value={query.data}>
      <Shell>
        <Outlet />
      </Shell>
    </SessionContext>
  );
}
