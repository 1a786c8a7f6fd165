import { useTranslation } from 'react-i18next';
import { PageHeader } from '@/components/PageHeader';
import { MatchPanel } from './MatchPanel';

export function Component() {
  const { t } = useTranslation();
  return (
    <>
      <PageHeader title={t('nav.match')} />
      <MatchPanel />
    </>
  );
}
