import { Paper } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { allClusters, type Cluster } from '@/api/clusters';
import { Empty } from '@/components/Empty';
import { Loaded } from '@/components/Loaded';
import { PageHeader } from '@/components/PageHeader';
import { Graph } from './Graph';
import { layout } from './layout';
import { useMembers } from './useMembers';

/** So many clusters are opened from the start. */
const OPEN_AT_FIRST = 3;

export function Component() {
  const { t } = useTranslation();
  const clusters = useQuery(allClusters);
  return (
    <>
      <PageHeader title={t('topology.title')} text={t('topology.text')} />
      <Paper withBorder>
        <Loaded query={clusters}>
          {({ rows }) => (rows.length === 0 ? <Empty text={t('clusters.empty')} /> : <Drawing clusters={rows} />)}
        </Loaded>
      </Paper>
    </>
  );
}

function Drawing({ clusters }: { clusters: Cluster[] }) {
  const [opened, setOpened] = useState<ReadonlySet<number>>(
    () => new Set(clusters.slice(0, OPEN_AT_FIRST).map(({ id }) => id)),
  );
  const members = useMembers(clusters.filter(({ id }) => opened.has(id)));
  const toggle = (id: number) =>
    setOpened((before) => new Set(before.has(id) ? [...before].filter((one) => one !== id) : [...before, id]));
  return <Graph {...layout(clusters, members)} onToggle={toggle} />;
}
