import { NumberInput, SimpleGrid, Stack, Switch, TextInput, Textarea } from '@mantine/core';
import { useForm } from '@mantine/form';
import type { UseMutationResult } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import type { Cluster } from '@/api/clusters';
import { Panel } from '@/components/Panel';
import { told } from '@/forms/problem';
import { idc, length, location, networks, patterns, whole } from '@/forms/rules';
import { Submit } from '@/forms/Submit';
import type { ClusterValues } from './clusterValues';

interface Props {
  initial: ClusterValues;
  submit: string;
  action: UseMutationResult<Cluster, Error, ClusterValues>;
  onCancel: () => void;
}

/** Limits: their field, their words, and what the manager takes. */
const LIMITS = [
  ['peerLoad', 'clusterForm.peerLoad', 'clusterForm.peerLoadHelp', 1, 2000],
  ['seedLoad', 'clusterForm.seedLoad', 'clusterForm.seedLoadHelp', 1, 50_000],
  ['candidates', 'clusterForm.candidates', 'clusterForm.candidatesHelp', 1, 20],
  ['filter', 'clusterForm.filter', 'clusterForm.filterHelp', 10, 1000],
  ['jobRate', 'clusterForm.jobRate', 'clusterForm.jobRateHelp', 1, 1_000_000],
] as const;

/** A cluster to be made or changed; every field is checked while it is typed. */
export function ClusterForm({ initial, submit, action, onCancel }: Props) {
  const { t } = useTranslation();
  const form = useForm<ClusterValues>({
    initialValues: initial,
    validateInputOnChange: true,
    validate: {
      name: told(t, length(1, 255, 'clusterForm.nameLength')),
      idc: told(t, idc),
      location: told(t, location),
      cidrs: told(t, networks),
      hostnames: told(t, patterns),
      ...Object.fromEntries(LIMITS.map(([field, , , min, max]) => [field, told(t, whole(min, max))])),
    },
  });
  return (
    <form onSubmit={form.onSubmit((values) => action.mutate(values))} noValidate>
      <Stack>
        <Panel title={t('clusters.about')}>
          <Stack maw={560}>
            <TextInput label={t('common.name')} required {...form.getInputProps('name')} />
            <Textarea label={t('common.description')} autosize minRows={2} {...form.getInputProps('bio')} />
            <Switch
              label={t('clusterForm.makeDefault')}
              description={initial.isDefault ? t('clusterForm.isDefault') : t('clusterForm.makeDefaultText')}
              disabled={initial.isDefault}
              {...form.getInputProps('isDefault', { type: 'checkbox' })}
            />
          </Stack>
        </Panel>
        <Panel title={t('clusters.scopes')} text={t('clusters.scopesText')}>
          <SimpleGrid cols={{ base: 1, sm: 2 }}>
            <TextInput
              label={t('clusters.idc')}
              description={t('clusterForm.idcHelp')}
              {...form.getInputProps('idc')}
            />
            <TextInput
              label={t('clusters.location')}
              description={t('clusterForm.locationHelp')}
              {...form.getInputProps('location')}
            />
            <Textarea
              label={t('clusters.cidrs')}
              description={t('clusterForm.cidrsHelp')}
              autosize
              minRows={3}
              maxRows={12}
              {...form.getInputProps('cidrs')}
            />
            <Textarea
              label={t('clusters.hostnames')}
              description={t('clusterForm.hostnamesHelp')}
              autosize
              minRows={3}
              maxRows={12}
              {...form.getInputProps('hostnames')}
            />
          </SimpleGrid>
        </Panel>
        <Panel title={t('clusters.limits')}>
          <SimpleGrid cols={{ base: 1, xs: 2, md: 3 }}>
            {LIMITS.map(([field, label, help]) => (
              <NumberInput
                key={field}
                label={t(label)}
                description={t(help)}
                allowDecimal={false}
                allowNegative={false}
                {...form.getInputProps(field)}
              />
            ))}
          </SimpleGrid>
        </Panel>
        <Submit label={submit} busy={action.isPending} error={action.error} onCancel={onCancel} />
      </Stack>
    </form>
  );
}
