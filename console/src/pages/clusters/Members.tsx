import { Stack, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { Cluster } from '@/api/clusters';
import {
  SCHEDULERS,
  SEED_PEERS,
  deleteScheduler,
  deleteSeedPeer,
  peerList,
  schedulerList,
  seedPeerList,
} from '@/api/members';
import { PAGE_SIZE } from '@/api/page';
import { Moment } from '@/components/Moment';
import { Panel } from '@/components/Panel';
import { MemberTable } from '../members/MemberTable';
import { PeerTable } from '../members/PeerTable';

/** Who belongs to a cluster at this moment. */
export function Members({ cluster }: { cluster: Cluster }) {
  return (
    <Stack>
      <Schedulers id={cluster.scheduler_cluster_id} />
      <SeedPeers id={cluster.seed_peer_cluster_id} />
      <Peers id={cluster.scheduler_cluster_id} />
    </Stack>
  );
}

function Schedulers({ id }: { id: number }) {
  const { t } = useTranslation();
  const [page, setPage] = useState(1);
  const query = useQuery(schedulerList({ page, per_page: PAGE_SIZE, scheduler_cluster_id: id }));
  return (
    <Panel title={t('clusters.schedulers')}>
      <MemberTable
        label={t('clusters.schedulers')}
        kind={SCHEDULERS}
        query={query}
        page={page}
        onPage={setPage}
        remove={deleteScheduler}
        columns={[
          { title: t('members.features'), cell: (row) => row.features.join(', ') },
          { title: t('members.lastSeen'), cell: (row) => <Moment at={row.last_keep_alive_at} /> },
        ]}
        empty={t('members.noSchedulers')}
      />
    </Panel>
  );
}

function SeedPeers({ id }: { id: number }) {
  const { t } = useTranslation();
  const [page, setPage] = useState(1);
  const query = useQuery(seedPeerList({ page, per_page: PAGE_SIZE, seed_peer_cluster_id: id }));
  return (
    <Panel title={t('clusters.seedPeers')}>
      <MemberTable
        label={t('clusters.seedPeers')}
        kind={SEED_PEERS}
        query={query}
        page={page}
        onPage={setPage}
        remove={deleteSeedPeer}
        columns={[{ title: t('members.lastSeen'), cell: (row) => <Moment at={row.last_keep_alive_at} /> }]}
        empty={t('members.noSeedPeers')}
      />
      <Text size="sm" c="dimmed">
        {t('members.seedHint')}
      </Text>
    </Panel>
  );
}

function Peers({ id }: { id: number }) {
  const { t } = useTranslation();
  const [page, setPage] = useState(1);
  const query = useQuery(peerList({ page, per_page: PAGE_SIZE, scheduler_cluster_id: id }));
  return (
    <Panel title={t('clusters.peers')}>
      <PeerTable query={query} page={page} onPage={setPage} empty={t('members.noPeers')} />
    </Panel>
  );
}
