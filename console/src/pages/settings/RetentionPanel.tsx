import { Group, NumberInput, Stack } from '@mantine/core';
import { useForm } from '@mantine/form';
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { SETTINGS, settingList, updateSetting } from '@/api/records';
import { useMay } from '@/app/session';
import { Panel } from '@/components/Panel';
import { told } from '@/forms/problem';
import { whole } from '@/forms/rules';
import { Submit } from '@/forms/Submit';
import { useAction } from '@/forms/useAction';
import { readRetention, writeRetention, type Retention } from './retention';

/** How long records are kept: the setting `gc`, in words. */
export function RetentionPanel() {
  const { t } = useTranslation();
  const setting = useQuery({ ...settingList({ page: 1, per_page: 1, name: 'gc' }), refetchInterval: false });
  const found = setting.data?.rows[0];
  const retention = found && readRetention(found.value);
  if (!retention) {
    return null;
  }
  return (
    <Panel title={t('settings.retention')} text={t('settings.retentionText')}>
      <RetentionForm key={found.updated_at} id={found.id} initial={retention} />
    </Panel>
  );
}

function RetentionForm({ id, initial }: { id: number; initial: Retention }) {
  const { t } = useTranslation();
  const mayChange = useMay('change', 'configs');
  const form = useForm<Retention>({
    initialValues: initial,
    validateInputOnChange: true,
    validate: { auditDays: told(t, whole(1, 3650)), jobHours: told(t, whole(1, 87_600)) },
  });
  const save = useAction({
    run: (values: Retention) => updateSetting(id, { value: writeRetention(values) }),
    changes: [SETTINGS],
    done: t('common.saved'),
    showsFailure: true,
  });
  return (
    <form onSubmit={form.onSubmit((values) => save.mutate(values))} noValidate>
      <Stack>
        <Group align="flex-start">
          <NumberInput label={t('settings.audit')} readOnly={!mayChange} {...form.getInputProps('auditDays')} />
          <NumberInput label={t('settings.job')} readOnly={!mayChange} {...form.getInputProps('jobHours')} />
        </Group>
        {mayChange && <Submit label={t('common.save')} busy={save.isPending} error={save.error} />}
      </Stack>
    </form>
  );
}
