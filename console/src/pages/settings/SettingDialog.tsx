import { TextInput, Textarea } from '@mantine/core';
import { useForm } from '@mantine/form';
import { useTranslation } from 'react-i18next';
import { SETTINGS, createSetting, updateSetting, type Setting } from '@/api/records';
import { FormDialog } from '@/forms/FormDialog';
import { told } from '@/forms/problem';
import { length } from '@/forms/rules';
import { useAction } from '@/forms/useAction';

interface Props {
  /** The one that is changed, whose name stays; none: one is made. */
  setting: Setting | null;
  onClose: () => void;
}

export function SettingDialog({ setting, onClose }: Props) {
  const { t } = useTranslation();
  const form = useForm({
    initialValues: { name: setting?.name ?? '', value: setting?.value ?? '', bio: setting?.bio ?? '' },
    validateInputOnChange: true,
    validate: {
      name: told(t, length(1, 255, 'clusterForm.nameLength')),
      value: told(t, length(1, 1024, 'settings.valueLength')),
    },
  });
  const action = useAction({
    run: ({ name, value, bio }: typeof form.values) =>
      setting ? updateSetting(setting.id, { value, bio }) : createSetting({ name, value, bio }),
    changes: [SETTINGS],
    done: t('common.saved'),
    showsFailure: true,
  });
  return (
    <FormDialog
      title={setting?.name ?? t('settings.add')}
      submit={t('common.save')}
      form={form}
      action={action}
      onClose={onClose}
    >
      {!setting && <TextInput label={t('common.name')} required data-autofocus {...form.getInputProps('name')} />}
      <Textarea label={t('settings.value')} required autosize minRows={2} {...form.getInputProps('value')} />
      <TextInput label={t('common.description')} {...form.getInputProps('bio')} />
    </FormDialog>
  );
}
