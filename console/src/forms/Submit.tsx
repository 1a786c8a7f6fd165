import { Alert, Button, Group } from '@mantine/core';
import { IconAlertTriangle } from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';

interface Props {
  label: string;
  busy: boolean;
  /** What the manager said of the last attempt. */
  error: Error | null;
  onCancel?: (() => void) | undefined;
}

/** The end of every form: why it was refused, and its buttons. */
export function Submit({ label, busy, error, onCancel }: Props) {
  const { t } = useTranslation();
  return (
    <>
      {error && (
        <Alert color="red" icon={<IconAlertTriangle />} role="alert">
          {error.message}
        </Alert>
      )}
      <Group justify="flex-end">
        {onCancel && (
          <Button variant="default" onClick={onCancel}>
            {t('common.cancel')}
          </Button>
        )}
        <Button type="submit" loading={busy}>
          {label}
        </Button>
      </Group>
    </>
  );
}
