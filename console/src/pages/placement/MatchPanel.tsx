import { Alert, Button, Group, SimpleGrid, Stack, Switch, Text, TextInput } from '@mantine/core';
import { useForm } from '@mantine/form';
import { useTranslation } from 'react-i18next';
import { match, type Cluster } from '@/api/clusters';
import type { Schemas } from '@/api/client';
import { Failure } from '@/components/Failure';
import { Rows } from '@/components/DataTable';
import { Panel } from '@/components/Panel';
import { TextLink } from '@/components/TextLink';
import { told } from '@/forms/problem';
import { optionalAddress } from '@/forms/rules';
import { useAction } from '@/forms/useAction';

const EMPTY = { ip: '', hostname: '', idc: '', location: '', pinned: '', seedPeer: false };

/** Asks which cluster would serve a host, and why; `here` is the cluster on whose page one is. */
export function MatchPanel({ here }: { here?: Cluster }) {
  const { t } = useTranslation();
  const form = useForm({
    initialValues: EMPTY,
    validateInputOnChange: true,
    validate: { ip: told(t, optionalAddress) },
  });
  const ask = useAction({ run: (values: typeof EMPTY) => match(queryOf(values)), changes: [], showsFailure: true });
  return (
    <Panel title={t('match.title')} text={t('match.text')}>
      <form onSubmit={form.onSubmit((values) => ask.mutate(values))} noValidate>
        <Stack>
          <SimpleGrid cols={{ base: 1, xs: 2, md: 3 }}>
            <TextInput label={t('match.ip')} placeholder="10.2.0.9" {...form.getInputProps('ip')} />
            <TextInput label={t('match.hostname')} placeholder="node-7" {...form.getInputProps('hostname')} />
            <TextInput label={t('match.idc')} placeholder="cluster-2" {...form.getInputProps('idc')} />
            <TextInput label={t('match.location')} placeholder="europe|germany" {...form.getInputProps('location')} />
            <TextInput label={t('match.pinned')} inputMode="numeric" {...form.getInputProps('pinned')} />
          </SimpleGrid>
          <Group justify="space-between">
            <Switch label={t('match.seedPeer')} {...form.getInputProps('seedPeer', { type: 'checkbox' })} />
            <Button type="submit" loading={ask.isPending}>
              {t('match.ask')}
            </Button>
          </Group>
        </Stack>
      </form>
      {ask.error && <Failure error={ask.error} />}
      {ask.data && <Answer found={ask.data} here={here} />}
    </Panel>
  );
}

/** What is empty is not asked. */
function queryOf({ pinned, seedPeer, ...texts }: typeof EMPTY) {
  const given = Object.entries(texts).filter(([, value]) => value.trim() !== '');
  return {
    ...Object.fromEntries(given.map(([name, value]) => [name, value.trim()])),
    ...(/^[0-9]+$/.test(pinned) && { scheduler_cluster_id: Number(pinned) }),
    ...(seedPeer && { seed_peer: true }),
  };
}

function Answer({ found, here }: { found: Schemas['ClusterMatch']; here: Cluster | undefined }) {
  const { t } = useTranslation();
  const isElsewhere = here !== undefined && here.id !== found.cluster_id;
  const name = found.cluster_name;
  return (
    <Stack role="status">
      <Alert
        color={isElsewhere || found.active_schedulers === 0 ? 'yellow' : 'teal'}
        title={t(isElsewhere ? 'match.elsewhere' : 'match.answer', { name })}
      >
        <Text size="sm">{found.explanation}</Text>
        {found.active_schedulers === 0 && <Text size="sm">{t('match.noSchedulers')}</Text>}
      </Alert>
      <Rows
        label={t('match.verdicts')}
        rows={found.clusters ?? []}
        rowKey={(row) => row.id}
        columns={[
          {
            title: t('common.name'),
            cell: (row) => <TextLink to={`/clusters/${row.id}`}>{row.name}</TextLink>,
          },
          { title: t('match.verdict'), cell: (row) => t(`match.${row.verdict}`) },
          { title: t('match.why'), cell: (row) => row.explanation },
        ]}
      />
    </Stack>
  );
}
