import { Code, SimpleGrid, Stack, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import type { Cluster } from '@/api/clusters';
import { peerList, schedulerList, seedPeerList } from '@/api/members';
import { Copyable } from '@/components/Copyable';
import { Facts } from '@/components/Facts';
import { Moment } from '@/components/Moment';
import { Panel } from '@/components/Panel';
import { MemberCount } from './MemberCount';

/** What a cluster is: its ids, its members in numbers, whom it serves, and its limits. */
export function Overview({ cluster }: { cluster: Cluster }) {
  const { t } = useTranslation();
  const { scopes, scheduler_cluster_config: scheduler } = cluster;
  return (
    <Stack>
      <Counts cluster={cluster} />
      <Panel title={t('clusters.about')}>
        <Facts
          of={[
            [t('clusters.schedulerClusterId'), id(t('clusters.schedulerClusterId'), cluster.scheduler_cluster_id)],
            [t('clusters.seedPeerClusterId'), id(t('clusters.seedPeerClusterId'), cluster.seed_peer_cluster_id)],
            [t('common.created'), <Moment key="created" at={cluster.created_at} />],
          ]}
        />
      </Panel>
      <Panel title={t('clusters.scopes')} text={t('clusters.scopesText')}>
        {isEmpty(scopes) ? (
          <Text>{t('clusters.noScopes')}</Text>
        ) : (
          <Facts
            of={[
              [t('clusters.cidrs'), entries(scopes.cidrs)],
              [t('clusters.hostnames'), entries(scopes.hostnames)],
              [t('clusters.idc'), scopes.idc],
              [t('clusters.location'), scopes.location],
            ]}
          />
        )}
      </Panel>
      <Panel title={t('clusters.limits')}>
        <Facts
          of={[
            [t('clusterForm.peerLoad'), cluster.peer_cluster_config.load_limit],
            [t('clusterForm.seedLoad'), cluster.seed_peer_cluster_config.load_limit],
            [t('clusterForm.candidates'), scheduler.candidate_parent_limit],
            [t('clusterForm.filter'), scheduler.filter_parent_limit],
            [t('clusterForm.jobRate'), scheduler.job_rate_limit],
          ]}
        />
      </Panel>
    </Stack>
  );
}

function Counts({ cluster }: { cluster: Cluster }) {
  const { t } = useTranslation();
  // Only the numbers are read: a page of one.
  const one = { page: 1, per_page: 1 };
  const ours = { ...one, scheduler_cluster_id: cluster.scheduler_cluster_id };
  const seeds = { ...one, seed_peer_cluster_id: cluster.seed_peer_cluster_id };
  return (
    <SimpleGrid cols={{ base: 1, xs: 3 }}>
      <MemberCount
        name={t('clusters.schedulers')}
        all={useQuery(schedulerList(ours))}
        active={useQuery(schedulerList({ ...ours, state: 'active' }))}
      />
      <MemberCount
        name={t('clusters.seedPeers')}
        all={useQuery(seedPeerList(seeds))}
        active={useQuery(seedPeerList({ ...seeds, state: 'active' }))}
      />
      <MemberCount
        name={t('clusters.peers')}
        all={useQuery(peerList(ours))}
        active={useQuery(peerList({ ...ours, state: 'active' }))}
      />
    </SimpleGrid>
  );
}

function id(label: string, value: number): ReactNode {
  return <Copyable value={value.toString()} label={label} />;
}

function entries(texts: string[] | null | undefined): ReactNode {
  if (!texts || texts.length === 0) {
    return null;
  }
  return (
    <Stack gap={4} align="flex-start">
      {texts.map((text) => (
        <Code key={text} className="breaks">
          {text}
        </Code>
      ))}
    </Stack>
  );
}

function isEmpty(scopes: Cluster['scopes']): boolean {
  return ![scopes.idc, scopes.location, scopes.cidrs?.length, scopes.hostnames?.length].some(Boolean);
}
