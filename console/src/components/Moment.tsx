import { Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { distance } from './format';

/** A moment: how far away it is, and when exactly for whoever points at it. */
export function Moment({ at }: { at: string | null | undefined }) {
  const { t, i18n } = useTranslation();
  if (!at) {
    return <>{t('common.none')}</>;
  }
  const moment = new Date(at);
  return (
    <Text component="time" inherit dateTime={at} title={moment.toLocaleString(i18n.language)} className="whole">
      {distance(moment, new Date(), i18n.language)}
    </Text>
  );
}
