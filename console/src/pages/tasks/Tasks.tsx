import { Button, Group, SegmentedControl, Stack, TextInput } from '@mantine/core';
import { useForm } from '@mantine/form';
import { IconSearch } from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';
import { useSearchParams } from 'react-router';
import { JOBS, createJob } from '@/api/jobs';
import { useMay } from '@/app/session';
import { Failure } from '@/components/Failure';
import { PageHeader } from '@/components/PageHeader';
import { Panel } from '@/components/Panel';
import { told } from '@/forms/problem';
import { useAction } from '@/forms/useAction';
import { Found } from './Found';
import { badSearch, searchJob, type SearchBy } from './search';

interface SearchValues {
  by: SearchBy;
  text: string;
}

const WAYS = [
  { value: 'url', label: 'tasks.byUrl' },
  { value: 'digest', label: 'tasks.byDigest' },
  { value: 'id', label: 'tasks.byId' },
  { value: 'image', label: 'tasks.byImage' },
] as const;

/** Searches a content among all hosts. The search is a job, whose id stands in the address; another page may say there what to search. */
export function Component() {
  const { t } = useTranslation();
  const maySearch = useMay('change', 'jobs');
  const [params, setParams] = useSearchParams();
  const job = Number(params.get('job'));
  const form = useForm<SearchValues>({
    initialValues: {
      by: WAYS.find(({ value }) => value === params.get('by'))?.value ?? 'url',
      text: params.get('text') ?? '',
    },
    validateInputOnChange: true,
    validate: {
      text: (value, { by }) => told(t, (text: string) => badSearch(by, text))(value),
    },
  });
  const search = useAction({
    run: ({ by, text }: SearchValues) => createJob(searchJob(by, text.trim())),
    changes: [JOBS],
    onDone: ({ id }) => setParams({ job: id.toString() }),
    showsFailure: true,
  });
  return (
    <>
      <PageHeader title={t('tasks.title')} text={t('tasks.text')} />
      <Stack>
        {maySearch && (
          <Panel title={t('tasks.find')}>
            <form onSubmit={form.onSubmit((values) => search.mutate(values))}>
              <Stack>
                <SegmentedControl
                  aria-label={t('tasks.by')}
                  data={WAYS.map(({ value, label }) => ({ value, label: t(label) }))}
                  {...form.getInputProps('by')}
                />
                <Group align="flex-start">
                  <TextInput
                    flex={1}
                    miw={220}
                    aria-label={t(`tasks.${form.values.by}`)}
                    placeholder={t(`tasks.${form.values.by}`)}
                    inputWrapperOrder={['input', 'error', 'description']}
                    description={form.values.by === 'digest' ? t('tasks.digestHelp') : undefined}
                    required
                    {...form.getInputProps('text')}
                  />
                  <Button type="submit" loading={search.isPending} leftSection={<IconSearch size={16} aria-hidden />}>
                    {t('tasks.find')}
                  </Button>
                </Group>
              </Stack>
            </form>
            {search.error && <Failure error={search.error} />}
          </Panel>
        )}
        {job > 0 && <Found key={job} id={job} />}
      </Stack>
    </>
  );
}
