import {
  MultiSelect,
  NumberInput,
  PasswordInput,
  Radio,
  SegmentedControl,
  SimpleGrid,
  Stack,
  TextInput,
  Textarea,
} from '@mantine/core';
import type { UseFormReturnType } from '@mantine/form';
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { allClusters } from '@/api/clusters';
import type { PreheatValues } from './preheatValues';

interface Props {
  form: UseFormReturnType<PreheatValues>;
}

const SCOPES = ['single_seed_peer', 'all_seed_peers', 'all_peers'] as const;
const CHOICES = ['everyone', 'count', 'percentage', 'ips'] as const;

/** What to fetch. */
export function What({ form }: Props) {
  const { t } = useTranslation();
  const isImage = form.values.kind === 'image';
  return (
    <Stack maw={640}>
      <SegmentedControl
        aria-label={t('preheat.what')}
        data={[
          { value: 'image', label: t('preheat.image') },
          { value: 'file', label: t('preheat.files') },
        ]}
        {...form.getInputProps('kind')}
      />
      {isImage ? (
        <>
          <TextInput
            label={t('preheat.imageUrl')}
            description={t('preheat.imageUrlHelp')}
            required
            {...form.getInputProps('image')}
          />
          <SimpleGrid cols={{ base: 1, xs: 3 }}>
            <TextInput
              label={t('preheat.platform')}
              description={t('preheat.platformHelp')}
              {...form.getInputProps('platform')}
            />
            <TextInput
              label={t('preheat.username')}
              description={t('common.optional')}
              autoComplete="off"
              {...form.getInputProps('username')}
            />
            <PasswordInput
              label={t('preheat.password')}
              description={t('common.optional')}
              autoComplete="new-password"
              {...form.getInputProps('password')}
            />
          </SimpleGrid>
        </>
      ) : (
        <Textarea
          label={t('preheat.fileUrls')}
          description={t('preheat.fileUrlsHelp')}
          required
          autosize
          minRows={4}
          maxRows={16}
          {...form.getInputProps('files')}
        />
      )}
    </Stack>
  );
}

/** Which clusters, and who in them. */
export function Where({ form }: Props) {
  const { t } = useTranslation();
  const clusters = useQuery(allClusters);
  const { scope, choose } = form.values;
  return (
    <Stack maw={640}>
      <MultiSelect
        label={t('preheat.clusters')}
        description={t('preheat.clustersHelp')}
        data={(clusters.data?.rows ?? []).map(({ id, name }) => ({ value: id.toString(), label: name }))}
        searchable
        clearable
        {...form.getInputProps('clusters')}
      />
      <Radio.Group label={t('preheat.scope')} {...form.getInputProps('scope')}>
        <Stack gap="xs" mt="xs">
          {SCOPES.map((value) => (
            <Radio key={value} value={value} label={t(`preheat.${value}`)} />
          ))}
        </Stack>
      </Radio.Group>
      {scope !== 'single_seed_peer' && (
        <>
          <Radio.Group label={t('preheat.choose')} {...form.getInputProps('choose')}>
            <Stack gap="xs" mt="xs">
              {CHOICES.map((value) => (
                <Radio key={value} value={value} label={t(`preheat.${value}`)} />
              ))}
            </Stack>
          </Radio.Group>
          {choose === 'ips' && (
            <Textarea label={t('preheat.ips')} autosize minRows={3} maxRows={10} {...form.getInputProps('ips')} />
          )}
          {(choose === 'count' || choose === 'percentage') && (
            <NumberInput label={t('preheat.howMany')} allowDecimal={false} {...form.getInputProps(choose)} />
          )}
        </>
      )}
    </Stack>
  );
}

/** What belongs to the tasks' identity, what the origin wants, and how long it may take. */
export function How({ form }: Props) {
  const { t } = useTranslation();
  return (
    <Stack maw={640}>
      <SimpleGrid cols={{ base: 1, xs: 2 }}>
        <TextInput label={t('preheat.tag')} {...form.getInputProps('tag')} />
        <TextInput label={t('preheat.application')} {...form.getInputProps('application')} />
      </SimpleGrid>
      <TextInput label={t('preheat.filter')} description={t('preheat.filterHelp')} {...form.getInputProps('filter')} />
      <Textarea
        label={t('preheat.headers')}
        description={t('preheat.headersHelp')}
        autosize
        minRows={2}
        {...form.getInputProps('headers')}
      />
      <NumberInput label={t('preheat.timeout')} allowDecimal={false} {...form.getInputProps('minutes')} />
      <TextInput label={t('preheat.bio')} {...form.getInputProps('bio')} />
    </Stack>
  );
}
