import { Badge, Tooltip } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { useEffect, useSyncExternalStore } from 'react';
import { useTranslation } from 'react-i18next';
import { followChanges } from '@/api/changes';
import { told } from '@/api/live';

/** Follows what changes, and shows whether what one sees is told by the manager or asked for now and then. */
export function LiveMark() {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const isTold = useSyncExternalStore(told.subscribe, told.get);
  useEffect(() => followChanges(queries), [queries]);
  return (
    <Tooltip label={t(isTold ? 'app.liveText' : 'app.pollingText')} multiline maw={260}>
      <Badge variant="default" visibleFrom="sm" role="status" data-live={isTold}>
        {t(isTold ? 'app.live' : 'app.polling')}
      </Badge>
    </Tooltip>
  );
}
