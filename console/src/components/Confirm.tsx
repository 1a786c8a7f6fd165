import { Alert, Button, Group, Modal, Stack, Text } from '@mantine/core';
import type { UseMutationResult } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';

interface Props<Out> {
  title: string;
  text?: string | undefined;
  /** What the button says. */
  label: string;
  action: UseMutationResult<Out, Error, void>;
  onClose: () => void;
}

/** Asks before something that can't be taken back. */
export function Confirm<Out>({ title, text, label, action, onClose }: Props<Out>) {
  const { t } = useTranslation();
  return (
    <Modal opened onClose={onClose} title={title} role="alertdialog">
      <Stack>
        {text && <Text size="sm">{text}</Text>}
        {action.error && (
          <Alert color="red" role="alert">
            {action.error.message}
          </Alert>
        )}
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose} data-autofocus>
            {t('common.cancel')}
          </Button>
          <Button
            color="red"
            loading={action.isPending}
            onClick={() => action.mutate(undefined, { onSuccess: onClose })}
          >
            {label}
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}
