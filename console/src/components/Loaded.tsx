import { Skeleton, Stack, VisuallyHidden } from '@mantine/core';
import type { UseQueryResult } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { Failure } from './Failure';

interface Props<T> {
  query: UseQueryResult<T>;
  children: (data: T) => ReactNode;
}

/** What a query has, or that it is on its way, or why it is not there. Old data stays while new is not there. */
export function Loaded<T>({ query, children }: Props<T>) {
  if (query.data !== undefined) {
    return children(query.data);
  }
  if (query.error) {
    return <Failure error={query.error} onRetry={() => void query.refetch()} />;
  }
  return <Loading />;
}

/** In place of what is on its way. */
export function Loading() {
  const { t } = useTranslation();
  return (
    <Stack role="status" gap="sm">
      <VisuallyHidden>{t('common.loading')}</VisuallyHidden>
      <Skeleton height={18} width="40%" />
      <Skeleton height={18} />
      <Skeleton height={18} width="70%" />
    </Stack>
  );
}
