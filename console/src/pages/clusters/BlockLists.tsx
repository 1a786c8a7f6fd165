import { Button, Group, Stack, Text } from '@mantine/core';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { Cluster } from '@/api/clusters';
import { useMay } from '@/app/session';
import { Facts } from '@/components/Facts';
import { Panel } from '@/components/Panel';
import { lines } from '@/forms/lines';
import { BlockDialog } from './BlockDialog';
import { BLOCKABLE, blockOf, isEmptyBlock, type BlockValues, type Part, type Whose } from './blockValues';

/** What a cluster's peers and seed peers refuse. */
export function BlockLists({ cluster }: { cluster: Cluster }) {
  const { t } = useTranslation();
  return (
    <Stack>
      <Text c="dimmed">{t('blocks.text')}</Text>
      <Side cluster={cluster} whose="peer_cluster_config" title={t('blocks.ofPeers')} />
      <Side cluster={cluster} whose="seed_peer_cluster_config" title={t('blocks.ofSeedPeers')} />
    </Stack>
  );
}

function Side({ cluster, whose, title }: { cluster: Cluster; whose: Whose; title: string }) {
  const { t } = useTranslation();
  const mayChange = useMay('change', 'clusters');
  const [edited, setEdited] = useState<Part | null>(null);
  const list = cluster[whose].block_list;
  return (
    <Panel title={title}>
      {BLOCKABLE.map((part) => {
        const [kind, way] = part;
        const name = `${t(`blocks.${kind}`)} · ${t(`blocks.${way}`)}`;
        return (
          <Group key={name} justify="space-between" align="flex-start">
            <Stack gap={4} flex={1} miw={200}>
              <Text fw={600} size="sm">
                {name}
              </Text>
              <Refused values={blockOf(list, part)} />
            </Stack>
            {mayChange && (
              <Button
                size="xs"
                variant="default"
                aria-label={`${t('common.edit')}: ${title}, ${name}`}
                onClick={() => setEdited(part)}
              >
                {t('common.edit')}
              </Button>
            )}
          </Group>
        );
      })}
      {edited && <BlockDialog cluster={cluster} whose={whose} part={edited} onClose={() => setEdited(null)} />}
    </Panel>
  );
}

function Refused({ values }: { values: BlockValues }) {
  const { t } = useTranslation();
  if (isEmptyBlock(values)) {
    return (
      <Text size="sm" c="dimmed">
        {t('blocks.nothing')}
      </Text>
    );
  }
  return (
    <Facts
      of={[
        [t('blocks.applications'), lines(values.applications).join(', ')],
        [t('blocks.urls'), lines(values.urls).join(', ')],
        [t('blocks.tags'), lines(values.tags).join(', ')],
        [t('blocks.priorities'), lines(values.priorities).join(', ')],
      ]}
    />
  );
}
