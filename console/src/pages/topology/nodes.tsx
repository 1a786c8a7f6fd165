import { ActionIcon, Group, Stack, Text } from '@mantine/core';
import {
  IconChevronLeft,
  IconChevronRight,
  IconCloud,
  IconDeviceDesktop,
  IconPlant,
  IconRoute,
  IconServer2,
  type Icon,
} from '@tabler/icons-react';
import { Handle, Position, type Node, type NodeProps } from '@xyflow/react';
import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { StateMark } from '@/components/StateMark';
import { TextLink } from '@/components/TextLink';
import classes from './Graph.module.css';
import type { Drawn, Spot } from './layout';

export type SpotNode = Node<{ spot: Spot; onToggle: (cluster: number) => void }, 'spot'>;

const ICONS: Record<Drawn['kind'], Icon> = { scheduler: IconRoute, seedPeer: IconPlant, peer: IconDeviceDesktop };

function SpotView({ data: { spot, onToggle } }: NodeProps<SpotNode>) {
  return (
    <div className={classes.node}>
      <Handle type="target" position={Position.Left} className={classes.handle ?? ''} />
      <Content spot={spot} onToggle={onToggle} />
      <Handle type="source" position={Position.Right} className={classes.handle ?? ''} />
    </div>
  );
}

function Content({ spot, onToggle }: SpotNode['data']) {
  const { t } = useTranslation();
  switch (spot.kind) {
    case 'manager':
      return <Line icon={IconCloud} name={t('topology.manager')} />;
    case 'cluster':
      return <ClusterSpot spot={spot} onToggle={onToggle} />;
    case 'member':
      return <MemberSpot member={spot.member} />;
    case 'more':
      return <TextLink to={spot.path}>{t('topology.more', { count: spot.count })}</TextLink>;
    case 'nobody':
      return (
        <Text size="sm" c="dimmed">
          {t('topology.noMembers')}
        </Text>
      );
  }
}

interface ClusterProps {
  spot: Extract<Spot, { kind: 'cluster' }>;
  onToggle: (cluster: number) => void;
}

function ClusterSpot({ spot: { cluster, isOpen }, onToggle }: ClusterProps) {
  const { t } = useTranslation();
  const { id, name } = cluster;
  return (
    <Line
      icon={IconServer2}
      name={<TextLink to={`/clusters/${id}`}>{name}</TextLink>}
      text={cluster.is_default ? t('clusters.default') : undefined}
      end={
        <ActionIcon
          className="nodrag nopan"
          variant="default"
          aria-expanded={isOpen}
          aria-label={t(isOpen ? 'topology.close' : 'topology.open', { name })}
          onClick={() => onToggle(id)}
        >
          {isOpen ? <IconChevronLeft size={16} /> : <IconChevronRight size={16} />}
        </ActionIcon>
      }
    />
  );
}

function MemberSpot({ member: { kind, name, address, state, path } }: { member: Drawn }) {
  return (
    <Line
      icon={ICONS[kind]}
      name={path ? <TextLink to={path}>{name}</TextLink> : name}
      text={address}
      end={<StateMark state={state} />}
    />
  );
}

interface LineProps {
  icon: Icon;
  name: ReactNode;
  text?: string | undefined;
  end?: ReactNode;
}

function Line({ icon: Icon, name, text, end }: LineProps) {
  return (
    <Group wrap="nowrap" gap="xs">
      <Icon size={18} stroke={1.6} aria-hidden />
      <Stack gap={0} flex={1} miw={0}>
        <Text size="sm" fw={600} truncate>
          {name}
        </Text>
        {text && (
          <Text size="xs" c="dimmed" truncate>
            {text}
          </Text>
        )}
      </Stack>
      {end}
    </Group>
  );
}

export const NODE_TYPES = { spot: SpotView };
