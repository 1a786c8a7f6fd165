import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { peer, type Peer } from '@/api/members';
import { useId } from '@/app/useId';
import { Copyable } from '@/components/Copyable';
import { Facts } from '@/components/Facts';
import { Loaded } from '@/components/Loaded';
import { Moment } from '@/components/Moment';
import { PageHeader } from '@/components/PageHeader';
import { Panel } from '@/components/Panel';
import { StateMark } from '@/components/StateMark';
import { TextLink } from '@/components/TextLink';

export function Component() {
  const query = useQuery(peer(useId()));
  return <Loaded query={query}>{(found) => <Shown peer={found} />}</Loaded>;
}

function Shown({ peer: shown }: { peer: Peer }) {
  const { t } = useTranslation();
  return (
    <>
      <PageHeader title={shown.host_name} mark={<StateMark state={shown.state} />} text={t(`peers.${shown.type}`)} />
      <Panel title={t('clusters.about')}>
        <Facts
          of={[
            [
              t('peers.cluster'),
              <TextLink key="cluster" to={`/clusters/${shown.scheduler_cluster_id}`}>
                {shown.scheduler_cluster?.name ?? shown.scheduler_cluster_id}
              </TextLink>,
            ],
            [t('peers.ip'), <Copyable key="ip" value={shown.ip} label={t('peers.ip')} />],
            [t('peers.ports'), ports(shown, [t('peers.grpc'), t('peers.pieces'), t('peers.proxy')])],
            [t('clusters.idc'), shown.idc],
            [t('clusters.location'), shown.location],
            [t('members.version'), shown.git_version],
            [t('peers.commit'), shown.git_commit],
            [t('peers.built'), shown.build_platform],
            [t('peers.system'), shown.os],
            [t('peers.platform'), [shown.platform, shown.platform_version].filter(Boolean).join(' ')],
            [t('peers.kernel'), shown.kernel_version],
            [t('common.created'), <Moment key="created" at={shown.created_at} />],
            [t('common.updated'), <Moment key="updated" at={shown.updated_at} />],
          ]}
        />
      </Panel>
    </>
  );
}

/** Zero is a port that a peer does not have. */
function ports(shown: Peer, names: string[]): string {
  const numbers = [shown.port, shown.download_port, shown.proxy_port];
  const known = numbers.flatMap((number, index) => (number > 0 ? [`${names[index] ?? ''} ${number}`] : []));
  return known.join(', ');
}
