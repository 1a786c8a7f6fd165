import { Button, Group, NativeSelect, SimpleGrid, Stack, Textarea, TextInput } from '@mantine/core';
import { useForm } from '@mantine/form';
import { IconSearch } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { serviceList } from '@/api/traces';
import { told } from '@/forms/problem';
import { LIMITS, optionalDuration, SINCE, tagLines, type SearchValues } from './search';

interface Props {
  initial: SearchValues;
  busy: boolean;
  onSearch: (values: SearchValues) => void;
}

/** What is looked for. It is asked when the button is pressed, since a search may read much. */
export function SearchForm({ initial, busy, onSearch }: Props) {
  const { t } = useTranslation();
  const known = useQuery(serviceList).data ?? [];
  const form = useForm({
    initialValues: initial,
    validateInputOnBlur: true,
    validate: {
      tags: told(t, tagLines),
      shortest: told(t, optionalDuration),
      longest: told(t, optionalDuration),
    },
  });
  const times = Object.entries(SINCE) as [keyof typeof SINCE, string][];
  return (
    <form onSubmit={form.onSubmit(onSearch)} noValidate>
      <Stack>
        <TextInput
          label={t('downloads.url')}
          description={t('downloads.urlHelp')}
          placeholder="/v2/library/nginx/blobs/sha256:…?ns=docker.io"
          {...form.getInputProps('url')}
        />
        <SimpleGrid cols={{ base: 1, xs: 2, md: 3 }}>
          <NativeSelect
            label={t('downloads.service')}
            data={[...new Set([...known, initial.service])]}
            {...form.getInputProps('service')}
          />
          <TextInput
            label={t('downloads.node')}
            description={t('downloads.nodeHelp')}
            inputWrapperOrder={['label', 'input', 'error', 'description']}
            {...form.getInputProps('node')}
          />
          <NativeSelect
            label={t('downloads.since')}
            data={[
              { value: '', label: t('common.any') },
              ...times.map(([name, value]) => ({ value, label: t(`downloads.times.${name}`) })),
            ]}
            {...form.getInputProps('since')}
          />
          <NativeSelect label={t('downloads.limit')} data={[...LIMITS]} {...form.getInputProps('limit')} />
          <TextInput label={t('downloads.shortest')} placeholder="5s" {...form.getInputProps('shortest')} />
          <TextInput label={t('downloads.longest')} placeholder="1m" {...form.getInputProps('longest')} />
          <Textarea
            label={t('downloads.tags')}
            description={t('blocks.onePerLine')}
            inputWrapperOrder={['label', 'input', 'error', 'description']}
            placeholder="error=true"
            autosize
            maxRows={6}
            {...form.getInputProps('tags')}
          />
        </SimpleGrid>
        <Group justify="flex-end">
          <Button type="submit" loading={busy} leftSection={<IconSearch size={16} aria-hidden />}>
            {t('downloads.find')}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
