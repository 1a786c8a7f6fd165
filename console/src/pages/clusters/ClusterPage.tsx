import { Badge, Tabs } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { useSearchParams } from 'react-router';
import { cluster, type Cluster } from '@/api/clusters';
import { useMay } from '@/app/session';
import { useId } from '@/app/useId';
import { LinkButton } from '@/components/LinkButton';
import { Loaded } from '@/components/Loaded';
import { PageHeader } from '@/components/PageHeader';
import { MatchPanel } from '../placement/MatchPanel';
import { BlockLists } from './BlockLists';
import { DeleteCluster } from './DeleteCluster';
import { HelmValues } from './HelmValues';
import { Members } from './Members';
import { Overview } from './Overview';

const PARTS = ['overview', 'members', 'placement', 'helm', 'blockLists'] as const;
type Part = (typeof PARTS)[number];

export function Component() {
  const query = useQuery(cluster(useId()));
  return <Loaded query={query}>{(found) => <Shown cluster={found} />}</Loaded>;
}

function Shown({ cluster: shown }: { cluster: Cluster }) {
  const { t } = useTranslation();
  const mayChange = useMay('change', 'clusters');
  const [params, setParams] = useSearchParams();
  const part = PARTS.find((name) => name === params.get('part')) ?? 'overview';
  return (
    <>
      <PageHeader
        title={shown.name}
        text={shown.bio}
        mark={shown.is_default && <Badge variant="default">{t('clusters.default')}</Badge>}
        actions={
          mayChange && (
            <>
              <LinkButton to={`/clusters/${shown.id}/edit`} variant="default">
                {t('common.edit')}
              </LinkButton>
              <DeleteCluster cluster={shown} />
            </>
          )
        }
      />
      <Tabs
        value={part}
        onChange={(chosen) => setParams(chosen && chosen !== 'overview' ? { part: chosen } : {})}
        keepMounted={false}
      >
        <Tabs.List mb="md" aria-label={t('clusters.sections')}>
          {PARTS.map((name) => (
            <Tabs.Tab key={name} value={name}>
              {t(`clusters.${name}`)}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        <Tabs.Panel value={part}>{content(part, shown)}</Tabs.Panel>
      </Tabs>
    </>
  );
}

function content(part: Part, shown: Cluster) {
  switch (part) {
    case 'overview':
      return <Overview cluster={shown} />;
    case 'members':
      return <Members cluster={shown} />;
    case 'placement':
      return <MatchPanel here={shown} />;
    case 'helm':
      return <HelmValues cluster={shown} />;
    case 'blockLists':
      return <BlockLists cluster={shown} />;
  }
}
